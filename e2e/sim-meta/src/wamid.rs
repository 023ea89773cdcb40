use base64::{Engine, engine::general_purpose::STANDARD};
use rand::RngExt;

/// A message id in WhatsApp's form for messages of a user: the digits of the number and 20 random hex
/// digits, in base64.
pub(crate) fn of_inbound(digits: &str) -> String {
    encode(digits, *b"\x12\x18\x14", 20)
}

/// A message id in the Cloud API's form for messages of the business.
pub(crate) fn of_outbound(digits: &str) -> String {
    encode(digits, *b"\x11\x18\x12", 18)
}

fn encode(digits: &str, kind: [u8; 3], hex_digits: usize) -> String {
    let mut bytes = Vec::with_capacity(48);
    bytes.extend_from_slice(b"\x1c\x18");
    bytes.push(u8::try_from(digits.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(digits.as_bytes());
    bytes.extend_from_slice(b"\x15\x02\x00");
    bytes.extend_from_slice(&kind);
    let random: u128 = rand::rng().random();
    let hex = format!("{random:032X}");
    bytes.extend_from_slice(&hex.as_bytes()[..hex_digits]);
    bytes.push(0);
    let mut wamid = String::from("wamid.");
    STANDARD.encode_string(&bytes, &mut wamid);
    wamid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_whatsapps_form_and_are_unique() {
        let one = of_inbound("16503879439");

        assert!(one.starts_with("wamid.HBgLMTY1MDM4Nzk0MzkVAgASGB"), "{one}");
        assert_ne!(one, of_inbound("16503879439"));
        assert!(of_outbound("16467043595").starts_with("wamid.HBgLMTY0NjcwNDM1OTUVAgARGB"));
    }
}
