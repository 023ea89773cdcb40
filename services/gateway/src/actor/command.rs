use claw_bus::HandlerError;
use claw_chat::{Command, NO_QUIET_HOURS, Notice, Plan, Updates};
use claw_domain::{MessageId, Wamid};

use super::{Flow, UserActor};
impl UserActor {
    /// Does what a command asks for, and confirms it.
    pub(super) async fn obey(
        &mut self,
        message: MessageId,
        command: Command,
    ) -> Result<Flow, HandlerError> {
        let users = self.context.store.users();
        let preferences = self.preferences().await?;
        let now = self.context.clock.now();
        let notice = match command {
            // With nothing to stop or to resume, the text is meant for the assistant.
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
            Command::SetQuietHours(Some(hours)) => {
                let stored = hours.to_string();
                users.set_quiet(self.user, Some(&stored)).await?;
                Notice::QuietHoursSet(hours, preferences.zone)
            }
            Command::SetQuietHours(None) => {
                users.set_quiet(self.user, Some(NO_QUIET_HOURS)).await?;
                Notice::QuietHoursOff
            }
            // Intake stored the PIN before it stored the message without the PIN.
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
            Command::UnknownQuietHours => Notice::UnknownQuietHours,
        };
        self.reread_held();
        self.say(message, notice).await
    }

    /// Asks the user to send again a message that WhatsApp could not hand over, unless it has arrived
    /// meanwhile.
    pub(super) async fn ask_again(
        &mut self,
        message: MessageId,
        wamid: &Wamid,
    ) -> Result<Flow, HandlerError> {
        let real = MessageId::derived_from(wamid.as_str());
        let messages = self.context.store.messages();
        if messages.exists(self.user, real).await? {
            return self.close(vec![message], Vec::new()).await;
        }
        self.say(message, Notice::PleaseResend).await
    }

    fn ask_instead(&mut self, message: MessageId) -> Flow {
        if let Some(item) = self.queue.iter_mut().find(|item| item.id == message)
            && let Plan::Obey(_, text) = &item.plan
        {
            item.plan = Plan::Ask(text.clone());
        }
        Flow::Continue
    }
}
