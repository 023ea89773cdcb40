use reqwest::Url;

use super::{
    form::{self, Fields},
    run::{Phone, Step},
    twiml::{self, Document},
    view::{RequestKind, Why},
    webhook::{self, Post},
};

/// A document to execute, and where it came from.
pub(crate) struct Page {
    pub(crate) document: Document,
    pub(crate) url: String,
}

impl Phone {
    /// Gets the document at `url`, or that of the fallback.
    pub(crate) async fn fetch(
        &mut self,
        kind: RequestKind,
        url: String,
        more: Fields,
    ) -> Step<Page> {
        let code = match self.get(kind, &url, more.clone()).await? {
            Ok(page) => return Ok(page),
            Err(code) => code,
        };
        let Some(fallback) = self.world.config.fallback_url.clone() else {
            return Err(Why::ApplicationError(code));
        };
        let (failed, _) = url.split_once('#').unwrap_or((&url, ""));
        let mut more = more;
        more.push(("ErrorCode".to_owned(), code.to_string()));
        more.push(("ErrorUrl".to_owned(), failed.to_owned()));
        let page = self.get(RequestKind::Fallback, &fallback, more).await?;
        page.map_err(Why::ApplicationError)
    }

    async fn get(&mut self, kind: RequestKind, url: &str, more: Fields) -> Step<Result<Page, u32>> {
        self.line.does(&format!("waits for the answer to {kind:?}"));
        self.line.caller_waits();
        let mut fields = form::of_call(&self.world, &self.line, &self.line.status());
        fields.extend(more);
        let post = Post {
            kind,
            url: url.to_owned(),
            fields,
        };
        let delivery = webhook::deliver(self.world.clone(), self.line.clone(), post);
        // A request under way is not taken back when the caller hangs up.
        let delivery = self.world.tasks.spawn(delivery);
        let answer = tokio::select! {
            biased;
            () = self.line.hung_up.cancelled() => return Err(Why::CallerHungUp),
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
                    .change(|view| view.requests[answer.place].error = code);
                Err(wrong.code)
            }
        }
    }
}

/// A URL of a document, which may be relative to where the document came from; empty means there.
pub(crate) fn joined(base: &str, url: &str) -> String {
    if url.is_empty() {
        return base.to_owned();
    }
    if url.contains("://") {
        return url.to_owned();
    }
    let whole = Url::parse(base).and_then(|base| base.join(url));
    whole.map_or_else(|_| url.to_owned(), String::from)
}
