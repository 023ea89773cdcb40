//! Checks against the shared collection of recorded requests, which is not part of the repository.

use std::{fs, path::PathBuf};

use claw_domain::Attestation;
use claw_twilio::{
    form::{Caller, Form, SessionStatus, TwilioCallStatus, VoiceRequest},
    relay::FromTwilio,
    signature::{AuthTokens, HEADER, Signature, sign},
};
use secrecy::SecretString;
use serde_json::Value;

/// The collection's folder, or `None` if there is none next to this checkout.
fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/twilio");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: the shared fixtures are not next to this checkout");
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
fn every_signature_vector_has_its_stated_verdict() {
    let Some(vectors) = json("signature_vectors.json") else {
        return;
    };
    let mut count = 0;
    // Only forms are checked: Twilio sends us no other bodies.
    let is_form = |vector: &&Value| vector["body"].is_null();
    for vector in vectors.as_array().unwrap().iter().filter(is_form) {
        let tokens = AuthTokens::parse(&SecretString::from(text(&vector["auth_token"]))).unwrap();
        let header = Some(text(&vector["signature"]).as_bytes());
        let url = text(&vector["configured_url"]);

        let verdict = Signature::parse(header)
            .and_then(|signature| tokens.verify_form(signature, url, &fields(&vector["params"])));

        assert_eq!(Value::Bool(verdict.is_ok()), vector["valid"], "{vector}");
        count += 1;
    }
    assert!(count >= 19, "{count}");
    assert_eq!(HEADER, "x-twilio-signature");
}

#[test]
fn every_recorded_form_has_its_stated_fields_and_signature() {
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
            Signature::parse(Some(signature.as_bytes()))
                .and_then(|signature| tokens.verify_form(signature, url, &form)),
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
fn callers_speech_and_ends_are_read_from_recorded_calls() {
    let Some(ringing) = request("voice_inbound_ringing") else {
        return;
    };
    assert_eq!(ringing.status, Some(TwilioCallStatus::Ringing));
    let attestation_of = |caller| match caller {
        Caller::Known { attestation, .. } | Caller::Hidden { attestation } => attestation,
    };
    assert!(attestation_of(ringing.caller).is_shown());
    let forged = request("voice_inbound_stir_failed").unwrap().caller;
    assert_eq!(attestation_of(forged), Attestation::Failed);

    assert!(request("gather_speech").unwrap().speech.is_some());
    let silence = request("gather_empty_action_on_empty").unwrap();
    assert_eq!((silence.speech, silence.digits), (None, None));
    assert!(request("gather_digits").unwrap().digits.is_some());

    let completed = request("status_completed").unwrap();
    assert!(completed.status.unwrap().is_final());
    assert!(completed.duration_seconds.is_some());
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
fn recorded_relay_messages_are_read() {
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
                name == "interrupt" && !interrupt.utterance_until_interrupt.expose().is_empty()
            }
            FromTwilio::Error => name == "error",
            FromTwilio::Other => false,
        };
        assert!(is_this, "{name}");
    }
}
