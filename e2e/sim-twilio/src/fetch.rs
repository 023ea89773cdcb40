use super::{
    form::{self, Fields},
    interpreter::{CallResult, Interpreter},
    page::Page,
    twiml,
    view::{EndReason, RequestKind},
    webhook::{self, Post},
};

impl Interpreter {
    /// Fetches the document at `url`, or the fallback's if that fails.
    pub(crate) async fn fetch(
        &mut self,
        kind: RequestKind,
        url: String,
        more: Fields,
    ) -> CallResult<Page> {
        let code = match self.get(kind, &url, more.clone()).await? {
            Ok(page) => return Ok(page),
            Err(code) => code,
        };
        let Some(fallback) = self.world.config.fallback_url.clone() else {
            return Err(EndReason::ApplicationError(code));
        };
        let (failed, _) = url.split_once('#').unwrap_or((&url, ""));
        let mut more = more;
        more.push(("ErrorCode".to_owned(), code.to_string()));
        more.push(("ErrorUrl".to_owned(), failed.to_owned()));
        let page = self.get(RequestKind::Fallback, &fallback, more).await?;
        page.map_err(EndReason::ApplicationError)
    }

    async fn get(
        &mut self,
        kind: RequestKind,
        url: &str,
        more: Fields,
    ) -> CallResult<Result<Page, u32>> {
        self.line
            .set_doing(&format!("waiting for the answer to {kind:?}"));
        self.line.caller_waits();
        let mut fields = form::of_call(&self.world, &self.line, &self.line.status());
        fields.extend(more);
        let post = Post {
            kind,
            url: url.to_owned(),
            fields,
        };
        let delivery = webhook::deliver(self.world.clone(), self.line.clone(), post);
        // A request in flight is not cancelled when the caller hangs up.
        let delivery = self.world.tasks.spawn(delivery);
        let answer = tokio::select! {
            biased;
            () = self.line.hung_up.cancelled() => return Err(EndReason::CallerHungUp),
            delivered = delivery => delivered.unwrap_or(Err(11_200)),
        };
        Ok(self.read(answer, url))
    }

    fn read(&self, answer: Result<webhook::Answer, u32>, url: &str) -> Result<Page, u32> {
        let answer = answer.inspect_err(|code| self.line.warn(format!("{code}: no answer")))?;
        match twiml::parse(&answer.content_type, &answer.body) {
            Ok(document) => {
                for warning in &document.warnings {
                    self.line.warn(warning.clone());
                }
                Ok(Page {
                    document,
                    url: url.to_owned(),
                })
            }
            Err(wrong) => {
                self.line.warn(format!("{}: {}", wrong.code, wrong.reason));
                let code = Some(wrong.code);
                self.line
                    .update(|view| view.requests[answer.index].error = code);
                Err(wrong.code)
            }
        }
    }
}
