use claw_testkit::lines_of_refusal;

#[test]
fn all_wrong_settings_are_printed_one_per_line() {
    let settings = [
        ("LOG_FORMAT", "xml"),
        ("SANDBOX_RUNTIME", "external"),
        ("SANDBOX_EXTERNAL_URL", "ws://agents"),
        ("LISTEN_HOST", "localhost"),
    ];

    let lines = lines_of_refusal(env!("CARGO_BIN_EXE_provisioner"), &settings);

    assert_eq!(
        lines,
        [
            "provisioner: these settings are missing or wrong:",
            "  LOG_FORMAT: expected human or json",
            "  LISTEN_HOST: expected an IP address",
            "  NATS_URL: required, but neither NATS_URL nor NATS_URL_FILE is set",
            "  DATABASE_URL: required, but neither DATABASE_URL nor DATABASE_URL_FILE is set",
            "  CLAWKAKA_MASTER_KEY: required, but neither CLAWKAKA_MASTER_KEY nor CLAWKAKA_MASTER_KEY_FILE is set",
            "  SANDBOX_EXTERNAL_URL: expected `{sandbox}` or `{user}` in the address: users must not share an assistant",
            "  SANDBOX_EXTERNAL_TOKEN: required, but neither SANDBOX_EXTERNAL_TOKEN nor SANDBOX_EXTERNAL_TOKEN_FILE is set",
            "  OPENCLAW_MODEL: required, but not set",
        ]
    );
}
