use chrono::NaiveTime;
use chrono_tz::TZ_VARIANTS;

use super::*;

#[test]
fn a_user_can_stop_and_resume() {
    for (text, command) in [
        ("stop", Command::Stop),
        (" STOP!! ", Command::Stop),
        ("Stop, please.", Command::Stop),
        ("stop updates", Command::StopUpdates),
        ("Please pause  updates.", Command::StopUpdates),
        ("No more updates\n", Command::StopUpdates),
        ("resume", Command::ResumeUpdates),
        ("Resume updates, please!", Command::ResumeUpdates),
        ("start updates", Command::ResumeUpdates),
    ] {
        assert_eq!(command_of(text), Some(command), "{text:?}");
    }
}

#[test]
fn a_user_can_set_their_time_zone() {
    for (text, zone) in [
        ("timezone Europe/Berlin", Tz::Europe__Berlin),
        ("Time zone: america/new york", Tz::America__New_York),
        ("timezone:Asia/Ho_Chi_Minh", Tz::Asia__Ho_Chi_Minh),
        ("My time zone is Berlin.", Tz::Europe__Berlin),
        ("my timezone is sao paulo", Tz::America__Sao_Paulo),
        ("timezone port of spain please", Tz::America__Port_of_Spain),
        ("timezone America/Indiana/Knox", Tz::America__Indiana__Knox),
        ("timezone Knox", Tz::America__Indiana__Knox),
        ("timezone utc", Tz::UTC),
    ] {
        assert_eq!(command_of(text), Some(Command::SetZone(zone)), "{text:?}");
    }
}

#[test]
fn a_command_with_an_unknown_zone_is_recognised() {
    for text in [
        "timezone Bielefeld",
        "timezone South Africa",
        "time zone: Europe/Narnia of the north",
        // A signed offset means the opposite in the names of the IANA database.
        "my time zone is GMT+2",
    ] {
        assert_eq!(command_of(text), Some(Command::UnknownZone), "{text:?}");
    }
}

#[test]
fn a_user_can_set_their_quiet_hours() {
    for (text, from, to) in [
        ("quiet hours 22-7", "22:00", "07:00"),
        ("Quiet hours: 22:30 to 07:00.", "22:30", "07:00"),
        ("my quiet hours are from 9 until 17", "09:00", "17:00"),
        ("quiet hours 23 – 6:15", "23:00", "06:15"),
        ("quiet hours 10pm-7 am", "22:00", "07:00"),
        ("quiet hours 12am to 12:30 pm please", "00:00", "12:30"),
        ("quiet hours 18-24", "18:00", "00:00"),
    ] {
        let quiet = QuietHours::new(time(from), time(to));

        assert!(quiet.is_some());
        assert_eq!(
            command_of(text),
            Some(Command::SetQuietHours(quiet)),
            "{text:?}"
        );
    }
}

#[test]
fn a_user_can_choose_the_language_spoken_on_the_phone() {
    for (text, language) in [
        ("language de", Language::German),
        ("Language: Deutsch.", Language::German),
        ("my language is german, please", Language::German),
        ("language pt-BR", Language::PortugueseBr),
        ("language british english", Language::EnglishGb),
        ("language English (UK)", Language::EnglishGb),
    ] {
        let command = Command::SetLanguage(language);
        assert_eq!(command_of(text), Some(command), "{text:?}");
    }
    for text in ["language klingon", "my language is ja-JP"] {
        assert_eq!(command_of(text), Some(Command::UnknownLanguage), "{text:?}");
    }
}

#[test]
fn a_user_can_turn_quiet_hours_off() {
    assert_eq!(
        command_of("Quiet hours off"),
        Some(Command::SetQuietHours(None))
    );
}

#[test]
fn a_command_with_quiet_hours_that_make_no_sense_is_recognised() {
    for text in [
        "quiet hours 22",
        "quiet hours 25-7",
        "quiet hours 22:60-7",
        "quiet hours 22:5-7",
        "quiet hours 13pm-7am",
        "quiet hours 7-7",
        "quiet hours 22-7-9",
    ] {
        assert_eq!(
            command_of(text),
            Some(Command::UnknownQuietHours),
            "{text:?}"
        );
    }
}

#[test]
fn other_text_is_no_command() {
    for text in [
        "",
        "please",
        "stop by the shop",
        "stop?",
        "don't stop",
        "stop it",
        "can you stop updates about football?",
        "stop updates about football",
        "pause",
        "updates",
        "my resume",
        "resume the story",
        "timezone",
        "time zones are confusing",
        "timezonecity",
        "timezone of my sister in Lima",
        "my time zone is the same as yours",
        "what is my time zone",
        "time zone Berlin?",
        "quiet hours",
        "quiet hours are nice",
        "quiet hours from now on",
        "when are my quiet hours?",
        "set quiet hours 22-7 for the kids",
        "language",
        "language of love",
        "language german lessons",
        "what is my language",
        "language german?",
    ] {
        assert_eq!(command_of(text), None, "{text:?}");
    }
}

#[test]
fn a_long_text_is_never_a_command() {
    let text = format!("stop{}", "!".repeat(COMMAND_LIMIT_BYTES));

    assert_eq!(command_of(&text), None);
}

#[test]
fn every_zone_can_be_set_by_its_name() {
    for zone in TZ_VARIANTS {
        assert_eq!(
            command_of(&format!("please, my time zone is {zone}, please.")),
            Some(Command::SetZone(zone)),
            "{zone}"
        );
    }
}

fn time(text: &str) -> NaiveTime {
    NaiveTime::parse_from_str(text, "%H:%M").unwrap()
}

#[test]
fn a_pin_is_set_in_few_words_and_similar_text_is_no_command() {
    for text in [
        "pin 4711",
        "PIN 4711.",
        "Set my pin to 4711",
        "my pin is 4711",
        "set pin 4711 please",
        "pin: 4711",
        "PIN=4711",
        "pin 47 11",
        "change my pin to 47-11",
        "my new pin is: 4711!",
    ] {
        assert_eq!(command_of(text), Some(Command::SetPin), "{text}");
        assert_eq!(pin_of(text).unwrap().expose(), "4711", "{text}");
    }
    for text in ["pin 123", "pin 123456789", "pin 1234 5678 9", "pin ٤٧١١"] {
        assert_eq!(command_of(text), Some(Command::UnknownPin), "{text}");
        assert!(is_about_a_pin(text) && pin_of(text).is_none(), "{text}");
    }
    for text in [
        "pin",
        "pin it to the wall",
        "pins 4711",
        "pin 4711 to the wall",
        "what is my pin 4711?",
    ] {
        assert_eq!(command_of(text), None, "{text}");
    }
    assert_eq!(command_of("Remove my PIN"), Some(Command::RemovePin));
}

#[test]
fn the_placeholders_of_pins_are_commands_without_a_pin() {
    assert_eq!(command_of(PIN_PLACEHOLDER), Some(Command::SetPin));
    let unusable = command_of(UNUSABLE_PIN_PLACEHOLDER);
    assert_eq!(unusable, Some(Command::UnknownPin));
    for placeholder in [PIN_PLACEHOLDER, UNUSABLE_PIN_PLACEHOLDER] {
        assert!(pin_of(placeholder).is_none());
    }
}
