use claw_testkit::lines_of_refusal;

#[test]
fn all_wrong_settings_are_printed_one_per_line() {
    let settings = [
        ("LOG_FORMAT", "xml"),
        ("PORT", "http"),
        ("NATS_URL", "nats://nats"),
        ("NATS_URL_FILE", "/run/nats"),
        ("TRUSTED_PROXIES", "caddy"),
        ("TWILIO_AUTH_TOKEN", "token"),
        ("BASE_URL", "claw.example"),
        ("VOICE_MODE", "loud"),
    ];

    let lines = lines_of_refusal(env!("CARGO_BIN_EXE_ingress"), &settings);

    assert_eq!(
        lines,
        [
            "ingress: these settings are missing or wrong:",
            "  LOG_FORMAT: expected human or json",
            "  PORT: expected a whole number from 0 to 65535",
            "  NATS_URL: set either NATS_URL or NATS_URL_FILE, not both",
            "  WHATSAPP_APP_SECRET: required, but neither WHATSAPP_APP_SECRET nor WHATSAPP_APP_SECRET_FILE is set",
            "  WHATSAPP_VERIFICATION_TOKEN: required, but neither WHATSAPP_VERIFICATION_TOKEN nor WHATSAPP_VERIFICATION_TOKEN_FILE is set",
            "  WHATSAPP_SENDER_PHONE_NUMBER_ID: required, but not set",
            "  USER_ID_KEY: required, but neither USER_ID_KEY nor USER_ID_KEY_FILE is set",
            "  PIN_PUBLIC_KEY: required, but neither PIN_PUBLIC_KEY nor PIN_PUBLIC_KEY_FILE is set",
            "  TRUSTED_PROXIES: expected IP addresses or networks like 10.0.0.0/8, separated by commas",
            "  BASE_URL: expected an address that begins with https:// and a host",
            "  VOICE_MODE: expected `gather` or `relay`",
        ]
    );
}
