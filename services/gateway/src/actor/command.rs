use claw_bus::HandlerError;
use claw_domain::{MessageId, Wamid};

use super::{Then, UserActor};
use crate::{
    commands::Command,
    guard::Updates,
    notice::Notice,
    plan::Plan,
    preferences::{preferences_of, write_quiet},
};

impl UserActor {
    /// Does what the person asked of us, and says so.
    pub(super) async fn obey(
        &mut self,
        message: MessageId,
        command: Command,
    ) -> Result<Then, HandlerError> {
        let users = self.context.store.users();
        let profile = users.profile(self.user).await?;
        let preferences = preferences_of(profile.as_ref(), &self.context.policy);
        let now = self.context.clock.now();
        let notice = match command {
            // With nothing to stop or to resume it was said to the assistant.
            Command::Stop => return Ok(self.ask_instead(message)),
            Command::ResumeUpdates if preferences.updates == Updates::On => {
                return Ok(self.ask_instead(message));
            }
            Command::StopUpdates => {
                users.stop_updates(self.user, now).await?;
                Notice::UpdatesStopped
            }
            Command::ResumeUpdates => {
                users.resume_updates(self.user).await?;
                Notice::UpdatesResumed
            }
            Command::SetZone(zone) => {
                users.set_zone(self.user, Some(zone.name())).await?;
                Notice::ZoneSet(zone, now)
            }
            Command::SetQuiet(quiet) => {
                users
                    .set_quiet(self.user, Some(&write_quiet(quiet)))
                    .await?;
                match quiet {
                    Some(quiet) => Notice::QuietSet(quiet, preferences.zone),
                    None => Notice::QuietOff,
                }
            }
            // Intake has kept it, before the words were written down without it.
            Command::SetPin => Notice::PinSet,
            Command::RemovePin => {
                users.remove_pin(self.user).await?;
                Notice::PinRemoved
            }
            Command::SetLanguage(language) => {
                users.set_language(self.user, Some(language.tag())).await?;
                Notice::LanguageSet(language)
            }
            Command::UnknownLanguage => Notice::UnknownLanguage,
            Command::UnknownPin => Notice::UnknownPin,
            Command::UnknownZone => Notice::UnknownZone,
            Command::UnknownQuiet => Notice::UnknownQuiet,
        };
        self.judge_held_again();
        self.close(vec![message], vec![notice.because_of(message)])
            .await
    }

    /// The person is to send again what WhatsApp could not hand over, unless it came meanwhile.
    pub(super) async fn ask_again(
        &mut self,
        message: MessageId,
        wamid: &Wamid,
    ) -> Result<Then, HandlerError> {
        let real = MessageId::derived_from(wamid.as_str());
        let has_come = self
            .context
            .store
            .messages()
            .exists(self.user, real)
            .await?;
        let notice = (!has_come).then(|| Notice::PleaseResend.because_of(message));
        self.close(vec![message], notice.into_iter().collect())
            .await
    }

    fn ask_instead(&mut self, message: MessageId) -> Then {
        if let Some(item) = self.queue.iter_mut().find(|item| item.id == message)
            && let Plan::Obey(_, text) = &item.plan
        {
            item.plan = Plan::Ask(text.clone());
        }
        Then::Again
    }
}
