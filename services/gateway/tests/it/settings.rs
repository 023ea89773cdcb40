use claw_testkit::lines_of_refusal;

#[test]
fn all_wrong_settings_are_printed_one_per_line() {
    let settings = [
        ("LOG_FORMAT", "xml"),
        ("CLAWKAKA_MASTER_KEY", "k"),
        ("PIN_PRIVATE_KEY", "4711"),
        ("HEALTH_PORT", "http"),
        ("HEARTBEAT_WAKES_PER_DAY", "49"),
        ("VOICE_TRUST", "everybody"),
        ("QUIET_HOURS", "night"),
    ];

    let lines = lines_of_refusal(env!("CARGO_BIN_EXE_gateway"), &settings);

    assert_eq!(
        lines,
        [
            "gateway: these settings are missing or wrong:",
            "  LOG_FORMAT: expected human or json",
            "  NATS_URL: required, but neither NATS_URL nor NATS_URL_FILE is set",
            "  DATABASE_URL: required, but neither DATABASE_URL nor DATABASE_URL_FILE is set",
            "  CLAWKAKA_MASTER_KEY: master key 1 is not <key id>:<64 hex digits>; an id has 1 to 32 letters, digits, - or _",
            "  PIN_PRIVATE_KEY: expected 64 hex digits",
            "  HEALTH_PORT: expected a whole number from 0 to 65535",
            "  HEARTBEAT_WAKES_PER_DAY: expected a number from 0 to 48",
            "  VOICE_TRUST: expected caller-id, attested or pin",
            "  QUIET_HOURS: expected hours such as 22:00-07:00, or off",
        ]
    );
}
