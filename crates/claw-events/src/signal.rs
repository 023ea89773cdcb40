use claw_domain::{CallId, Sensitive, UserId, Wamid};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Something worthless a second later, so it goes over core NATS and is never stored.
pub trait Signal: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its name: the second token of its subjects.
    const NAME: &'static str;

    /// What it is about: the last token of its subject.
    fn about(&self) -> String;
}

/// The subject a signal is sent under.
pub fn signal_subject<S: Signal>(signal: &S) -> String {
    format!("signal.{}.{}", S::NAME, signal.about())
}

/// The subjects of signals of this name: about one thing, or about all.
pub fn signal_filter<S: Signal>(about: Option<&str>) -> String {
    format!("signal.{}.{}", S::NAME, about.unwrap_or("*"))
}

/// The assistant is at work on a message: show it as read, and show typing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypingStarted {
    /// Whose chat.
    pub user: UserId,
    /// The message being answered; Meta hangs both marks on it.
    pub wamid: Wamid,
}

impl Signal for TypingStarted {
    const NAME: &'static str = "typing";

    fn about(&self) -> String {
        self.user.to_string()
    }
}

/// A piece of what the assistant is saying in a call, as it comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeechStreamed {
    /// In which call.
    pub call: CallId,
    /// To which turn of the caller.
    pub turn: u32,
    /// How many characters of the answer came before it: a gap means that a piece was lost.
    pub offset: u32,
    /// The piece, in the assistant's Markdown.
    pub text: Sensitive<String>,
}

impl Signal for SpeechStreamed {
    const NAME: &'static str = "speech";

    fn about(&self) -> String {
        self.call.to_string()
    }
}

/// The caller spoke over the answer: stop saying it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallInterrupted {
    /// Who spoke.
    pub user: UserId,
    /// In which call.
    pub call: CallId,
    /// The turn that was being answered.
    pub turn: u32,
}

impl Signal for CallInterrupted {
    const NAME: &'static str = "interrupt";

    fn about(&self) -> String {
        self.user.to_string()
    }
}
