//! The shared collection of recorded requests, where it is at hand; it is no part of the repository.

use std::{fs, path::PathBuf};

use claw_twilio::{
    form::{CallStatus, Caller, Form, SessionStatus, VoiceRequest},
    relay::FromTwilio,
    signature::{AuthTokens, HEADER, sign},
};
use secrecy::SecretString;
use serde_json::Value;

/// The folder, or `None` (said aloud) when this checkout stands alone.
fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/twilio");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("the shared fixtures are not there: nothing to check");
    None
}

fn read(name: &str) -> Option<Vec<u8>> {
    Some(fs::read(folder()?.join(name)).unwrap())
}

fn json(name: &str) -> Option<Value> {
    Some(serde_json::from_slice(&read(name)?).unwrap())
}

fn request(name: &str) -> Option<VoiceRequest> {
    let form = Form::parse(&read(&format!("{name}.form"))?);
    Some(VoiceRequest::read(&form).unwrap())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn fields(value: &Value) -> Form {
    let pairs = value.as_array().unwrap().iter();
    Form::from_pairs(pairs.map(|pair| (text(&pair[0]), text(&pair[1]))))
}

#[test]
fn every_signature_vector_is_judged_as_stated() {
    let Some(vectors) = json("signature_vectors.json") else {
        return;
    };
    for vector in vectors.as_array().unwrap() {
        let tokens = AuthTokens::parse(&SecretString::from(text(&vector["auth_token"]))).unwrap();
        let header = Some(text(&vector["signature"]).as_bytes());
        let url = text(&vector["configured_url"]);

        let verdict = match vector["body"].as_str() {
            Some(body) => tokens.verify_body(header, url, body.as_bytes()),
            None => tokens.verify_form(header, url, &fields(&vector["params"])),
        };

        assert_eq!(Value::Bool(verdict.is_ok()), vector["valid"], "{vector}");
    }
    assert!(vectors.as_array().unwrap().len() >= 20);
    assert_eq!(HEADER, "x-twilio-signature");
}

#[test]
fn every_recorded_form_is_decoded_as_stated_and_signed_as_stated() {
    let Some(folder) = folder() else {
        return;
    };
    let names = fs::read_dir(folder).unwrap();
    let mut count = 0;
    for name in names.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        let Some(stem) = name.strip_suffix(".meta.json") else {
            continue;
        };
        let meta = json(&name).unwrap();
        let form = Form::parse(&read(&format!("{stem}.form")).unwrap());
        assert_eq!(form, fields(&meta["params"]), "{stem}");

        let token = SecretString::from(text(&meta["auth_token"]));
        let (url, signature) = (text(&meta["url"]), text(&meta["x_twilio_signature"]));
        let tokens = AuthTokens::parse(&token).unwrap();
        assert_eq!(
            tokens.verify_form(Some(signature.as_bytes()), url, &form),
            Ok(()),
            "{stem}"
        );
        assert_eq!(sign(&token, url, &form), signature, "{stem}");
        assert!(VoiceRequest::read(&form).is_ok(), "{stem}");
        count += 1;
    }
    assert!(count >= 14, "{count}");
}

#[test]
fn recorded_calls_say_who_rings_what_was_heard_and_how_it_ended() {
    let Some(ringing) = request("voice_inbound_ringing") else {
        return;
    };
    assert_eq!(ringing.status, Some(CallStatus::Ringing));
    assert!(ringing.caller.trusted_phone().is_some());

    let forged = request("voice_inbound_stir_failed").unwrap().caller;
    assert!(matches!(
        forged,
        Caller::Known {
            trust: claw_domain::Trust::Unverified,
            ..
        }
    ));

    assert!(request("gather_speech").unwrap().speech.is_some());
    let silence = request("gather_empty_action_on_empty").unwrap();
    assert_eq!((silence.speech, silence.digits), (None, None));
    assert!(request("gather_digits").unwrap().digits.is_some());

    let completed = request("status_completed").unwrap();
    assert!(completed.status.unwrap().is_final());
    assert!(completed.duration_seconds.is_some() && completed.timestamp.is_some());
    assert!(request("voice_fallback").unwrap().error_code.is_some());

    let failed = request("connect_action_failed").unwrap();
    assert_eq!(failed.relay_end.unwrap().status, SessionStatus::Failed);
    let ended = request("connect_action_ended_by_app")
        .unwrap()
        .relay_end
        .unwrap();
    assert_eq!(ended.status, SessionStatus::Ended);
    assert!(ended.handoff.is_some());
}

#[test]
fn recorded_messages_of_a_relay_are_read() {
    for name in ["setup", "prompt", "dtmf", "interrupt", "error"] {
        let Some(frame) = read(&format!("relay_in_{name}.json")) else {
            return;
        };
        let message = FromTwilio::parse(&String::from_utf8(frame).unwrap()).unwrap();
        let is_this = match message {
            FromTwilio::Setup(setup) => name == "setup" && setup.call_sid().is_some(),
            FromTwilio::Prompt(prompt) => name == "prompt" && prompt.last,
            FromTwilio::Dtmf { .. } => name == "dtmf",
            FromTwilio::Interrupt(interrupt) => {
                name == "interrupt" && interrupt.duration_until_interrupt_ms == Some(460)
            }
            FromTwilio::Error { description } => name == "error" && description.is_some(),
            FromTwilio::Info {} | FromTwilio::Other => false,
        };
        assert!(is_this, "{name}");
    }
}
