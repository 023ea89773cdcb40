use form_urlencoded::Serializer;

use super::{line::Line, world::World};

/// The fields of a form, in order, names possibly repeated.
pub(crate) type Fields = Vec<(String, String)>;

/// The fields of every request of a call. (Twilio docs, *TwiML for Voice*, request parameters.)
pub(crate) fn of_call(world: &World, line: &Line, status: &str) -> Fields {
    let (config, caller) = (&world.config, &line.caller);
    let mut fields = pairs(&[
        ("AccountSid", &config.account_sid),
        ("ApiVersion", "2010-04-01"),
        ("CallSid", &line.sid),
        ("CallStatus", status),
        ("Direction", "inbound"),
    ]);
    for side in ["Called", "To"] {
        fields.extend(location(
            side,
            &config.number,
            ["SAN FRANCISCO", "CA", "94105", "US"],
        ));
    }
    for side in ["Caller", "From"] {
        fields.extend(location(
            side,
            &caller.from,
            ["OAKLAND", "CA", "94601", "US"],
        ));
    }
    if let Some(number) = &caller.forwarded_from {
        fields.push(("ForwardedFrom".to_owned(), number.clone()));
    }
    if let Some(name) = &caller.name {
        fields.push(("CallerName".to_owned(), name.clone()));
    }
    fields
}

/// The additional fields of a call's first request.
pub(crate) fn of_ring(line: &Line) -> Fields {
    let token = "%7B%22parentCallInfoToken%22%3A%22simulated%22%7D";
    let mut fields = pairs(&[("CallToken", token)]);
    if let Some(stir) = &line.caller.stir {
        fields.push(("StirVerstat".to_owned(), stir.clone()));
    }
    fields
}

/// The number of one side with its location, which Twilio guesses from the number and which is usually
/// empty outside North America.
fn location(side: &str, number: &str, american: [&str; 4]) -> Fields {
    let is_american = number.starts_with("+1");
    let parts = if is_american { american } else { [""; 4] };
    let mut fields = vec![(side.to_owned(), number.to_owned())];
    for (part, value) in ["City", "State", "Zip", "Country"].iter().zip(parts) {
        fields.push((format!("{side}{part}"), value.to_owned()));
    }
    fields
}

pub(crate) fn pairs(pairs: &[(&str, &str)]) -> Fields {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

pub(crate) fn encoded(fields: &Fields) -> String {
    let mut body = Serializer::new(String::new());
    body.extend_pairs(fields);
    body.finish()
}
