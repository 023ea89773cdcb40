use claw_domain::Sensitive;
use serde::{Deserialize, Serialize};

/// How a call goes on when we end its streamed conversation. It travels with Twilio's request for what comes
/// next, whose signature covers it, so that any replica can answer that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all = "snake_case")]
pub(crate) enum Handoff {
    /// With another one.
    Listen,
    /// With the answer to this turn, which is on its way.
    Answer { turn: u32 },
    /// As the state of the call says.
    SeeCall,
    /// Not at all.
    HangUp,
}

impl Handoff {
    pub(crate) fn to_json(self) -> Sensitive<String> {
        let json = serde_json::to_string(&self);
        json.expect("a name and a number can be written as JSON")
            .into()
    }

    /// Reads what we wrote.
    pub(crate) fn read(json: &Sensitive<String>) -> Option<Self> {
        serde_json::from_str(json.expose()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_comes_back() {
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
