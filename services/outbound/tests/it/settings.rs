use claw_testkit::lines_of_refusal;

#[test]
fn all_wrong_settings_are_printed_one_per_line() {
    let settings = [
        ("LOG_FORMAT", "xml"),
        ("DATABASE_URL_FILE", "/nowhere"),
        ("WHATSAPP_TEMPLATE", "assistant_writes"),
        ("WHATSAPP_MESSAGES_PER_SECOND", "0"),
        ("SHUTDOWN_GRACE_SECONDS", "soon"),
    ];

    let lines = lines_of_refusal(env!("CARGO_BIN_EXE_outbound"), &settings);

    assert_eq!(
        lines,
        [
            "outbound: these settings are missing or wrong:",
            "  LOG_FORMAT: expected human or json",
            "  NATS_URL: required, but neither NATS_URL nor NATS_URL_FILE is set",
            "  DATABASE_URL_FILE: cannot read /nowhere: No such file or directory (os error 2)",
            "  WHATSAPP_SENDER_PHONE_NUMBER_ID: required, but not set",
            "  WHATSAPP_ACCESS_TOKEN: required, but neither WHATSAPP_ACCESS_TOKEN nor WHATSAPP_ACCESS_TOKEN_FILE is set",
            "  WHATSAPP_TEMPLATE: expected `<name>:<language code>`, such as assistant_writes:en_US",
            "  WHATSAPP_MESSAGES_PER_SECOND: expected a whole number above 0",
            "  SHUTDOWN_GRACE_SECONDS: expected a whole number",
        ]
    );
}
