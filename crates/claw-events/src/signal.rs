use claw_domain::{CallId, Sensitive, UserId, Wamid};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A message over core NATS, which is never stored and may get lost. It is of use for about a second.
pub trait Signal: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name of the signal type: the second token of its subjects.
    const NAME: &'static str;

    /// The id of the user or call that the signal is about: the last token of its subject.
    fn about(&self) -> String;
}

/// The subject under which a signal is sent.
pub fn signal_subject<S: Signal>(signal: &S) -> String {
    format!("signal.{}.{}", S::NAME, signal.about())
}

/// A filter for the subjects of this type's signals: those about one id, or all for `None`.
pub fn signal_filter<S: Signal>(about: Option<&str>) -> String {
    format!("signal.{}.{}", S::NAME, about.unwrap_or("*"))
}

/// The assistant works on a message, which should be shown as read, with a typing indicator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypingStarted {
    /// The user whose chat shows the indicator.
    pub user: UserId,
    /// The message being answered. Meta takes the read mark and the typing indicator by its id.
    pub wamid: Wamid,
}

impl Signal for TypingStarted {
    const NAME: &'static str = "typing";

    fn about(&self) -> String {
        self.user.to_string()
    }
}

/// A piece of the assistant's answer in a call, sent as soon as the model produced it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeechStreamed {
    /// The call that the answer belongs to.
    pub call: CallId,
    /// The number of the utterance that is being answered.
    pub turn: u32,
    /// The number of characters of the answer before this piece. A gap means that a piece was lost.
    pub offset: u32,
    /// The text of the piece, in the assistant's Markdown.
    pub text: Sensitive<String>,
}

impl Signal for SpeechStreamed {
    const NAME: &'static str = "speech";

    fn about(&self) -> String {
        self.call.to_string()
    }
}

/// The caller interrupted the answer, which must stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallInterrupted {
    /// The user of the caller's number.
    pub user: UserId,
    /// The call that the answer belongs to.
    pub call: CallId,
    /// The number of the utterance that was being answered.
    pub turn: u32,
}

impl Signal for CallInterrupted {
    const NAME: &'static str = "interrupt";

    fn about(&self) -> String {
        self.user.to_string()
    }
}

/// An operator has suspended or resumed a user, or everybody. The database tells whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspensionChanged {
    /// The user; `None` for everybody.
    pub user: Option<UserId>,
    /// The operator's reason for the end of a suspension, for the log. That of a suspension is in the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_because: Option<String>,
}

impl Signal for SuspensionChanged {
    const NAME: &'static str = "suspension";

    fn about(&self) -> String {
        self.user
            .map_or_else(|| "all".to_owned(), |user| user.to_string())
    }
}
