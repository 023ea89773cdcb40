use claw_domain::Sensitive;
use serde::{Deserialize, Serialize};

/// Turn numbers reserved for one streamed conversation. Turns after it are numbered from there.
pub(crate) const TURNS_PER_STREAM: u32 = 1_000_000;

/// How a call goes on after we have ended its streamed conversation. Twilio returns it with its request for the
/// next document, covered by its signature, so that any replica can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all = "snake_case")]
pub(crate) enum Handoff {
    /// With another streamed conversation.
    Listen,
    /// With the answer to this turn, which is not there yet.
    Answer { turn: u32 },
    /// As the status of the call says.
    SeeCall,
    /// With its end.
    HangUp,
}

impl Handoff {
    pub(crate) fn to_json(self) -> Sensitive<String> {
        let json = serde_json::to_string(&self);
        json.expect("a name and a number can be written as JSON")
            .into()
    }

    /// Reads the JSON that [`Self::to_json`] wrote.
    pub(crate) fn read(json: &Sensitive<String>) -> Option<Self> {
        serde_json::from_str(json.expose()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_handoff_can_be_read_back() {
        for handoff in [
            Handoff::Listen,
            Handoff::Answer { turn: 7 },
            Handoff::SeeCall,
            Handoff::HangUp,
        ] {
            assert_eq!(Handoff::read(&handoff.to_json()), Some(handoff));
        }
        assert_eq!(Handoff::read(&"{}".into()), None);
    }
}
