use super::xml::Element;

/// The documented attributes of each verb.
const ATTRIBUTES: &[(&str, &[&str])] = &[
    ("Say", &["voice", "language", "loop"]),
    ("Play", &["loop", "digits"]),
    ("Pause", &["length"]),
    ("Redirect", &["method"]),
    ("Hangup", &[]),
    ("Reject", &["reason"]),
    (
        "Gather",
        &[
            "input",
            "action",
            "method",
            "timeout",
            "speechTimeout",
            "speechModel",
            "language",
            "hints",
            "profanityFilter",
            "actionOnEmptyResult",
            "partialResultCallback",
            "partialResultCallbackMethod",
            "finishOnKey",
            "numDigits",
            "enhanced",
            "bargeIn",
            "debug",
        ],
    ),
    ("Connect", &["action", "method"]),
    (
        "ConversationRelay",
        &[
            "url",
            "welcomeGreeting",
            "welcomeGreetingInterruptible",
            "language",
            "ttsLanguage",
            "transcriptionLanguage",
            "ttsProvider",
            "voice",
            "transcriptionProvider",
            "speechModel",
            "eotThreshold",
            "partialPrompts",
            "speechTimeout",
            "interruptible",
            "interruptSensitivity",
            "reportInputDuringAgentSpeech",
            "preemptible",
            "ignoreBackchannel",
            "dtmfDetection",
            "hints",
            "debug",
            "events",
            "elevenlabsTextNormalization",
            "deepgramSmartFormat",
            "profanityFilter",
            "applicationReconnect",
            "intelligenceService",
            "welcomeGreetingLanguage",
        ],
    ),
];

/// Warns of undocumented attributes, which Twilio ignores.
pub(crate) fn warn_of_attributes(element: &Element, warnings: &mut Vec<String>) {
    let Some((_, known)) = ATTRIBUTES.iter().find(|(name, _)| *name == element.name) else {
        return;
    };
    for name in element
        .attribute_names()
        .filter(|name| !known.contains(name))
    {
        warnings.push(format!("12200: {} has no attribute {name}", element.name));
    }
}
