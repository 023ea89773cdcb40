use claw_twilio::phrases::Phrases;

/// Something that we say ourselves, in the caller's language. Numbers choose between variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phrase {
    /// The assistant is listening.
    Greeting,
    /// A new caller has to speak or press a key.
    Welcome,
    /// The assistant is being set up for the first time, or woken up.
    SettingUp,
    /// The assistant is still being set up.
    StillSettingUp(u32),
    /// Setting up takes too long for a call: we write to the caller's chat when it is done.
    WillWriteWhenReady,
    /// [`Self::WillWriteWhenReady`] without a chat.
    CallAgainLater,
    /// Bridges the wait for an answer.
    Filler(u32),
    /// Nothing was understood: asks the caller to repeat.
    Pardon(u32),
    /// The caller has stayed silent.
    Goodbye,
    /// A fault on our side ends the call.
    Apology,
    /// The caller has to enter their PIN.
    AskPin,
    /// The PIN was wrong.
    WrongPin,
    /// Nothing can prove who calls.
    CannotTellWhoCalls,
    /// The operator has suspended the user.
    Suspended,
    /// The caller ID is hidden: the caller has to key in their number.
    AskNumber,
    /// The assistant failed; the caller may ask again.
    CouldNotAnswer,
    /// The answer comes in the chat; the caller may ask something else.
    AnswerInChat,
    /// The rest of the answer is in the chat.
    RestInChat,
    /// [`Self::AnswerInChat`] without a chat.
    WriteForAnswer,
    /// [`Self::RestInChat`] without a chat.
    WriteForRest,
    /// The connection broke, and the call goes on without it.
    BrokenOff,
}

impl Phrase {
    /// What to say instead to a caller to whom we may not write, if this promises a message.
    pub(crate) const fn without_chat(self) -> Self {
        if matches!(self, Self::WillWriteWhenReady) {
            Self::CallAgainLater
        } else if matches!(self, Self::AnswerInChat) {
            Self::WriteForAnswer
        } else if matches!(self, Self::RestInChat) {
            Self::WriteForRest
        } else {
            self
        }
    }

    /// The text in the language of `phrases`.
    pub(crate) fn text(self, phrases: &'static Phrases) -> &'static str {
        let index = |number: u32| usize::try_from(number).unwrap_or_default();
        match self {
            Self::Greeting => phrases.greeting,
            Self::Welcome => phrases.welcome,
            Self::SettingUp => phrases.setting_up,
            Self::StillSettingUp(number) if number % 2 == 0 => phrases.still_setting_up,
            Self::StillSettingUp(number) | Self::Filler(number) => phrases.filler(index(number)),
            Self::WillWriteWhenReady => phrases.will_write_when_ready,
            Self::CallAgainLater => phrases.call_again_later,
            Self::Pardon(number) => phrases.did_not_hear(index(number)),
            Self::Goodbye => phrases.goodbye,
            Self::Apology => phrases.apology,
            Self::AskPin => phrases.ask_pin,
            Self::WrongPin => phrases.wrong_pin,
            Self::CannotTellWhoCalls => phrases.set_pin_in_chat,
            Self::Suspended => phrases.suspended,
            Self::AskNumber => phrases.ask_number,
            Self::CouldNotAnswer => phrases.could_not_answer,
            Self::AnswerInChat => phrases.answer_on_whatsapp,
            Self::RestInChat => phrases.rest_on_whatsapp,
            Self::WriteForAnswer => phrases.write_for_answer,
            Self::WriteForRest => phrases.write_for_rest,
            Self::BrokenOff => phrases.line_was_broken,
        }
    }
}
