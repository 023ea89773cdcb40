use super::Phrases;

pub(super) const PHRASES: Phrases = Phrases {
    greeting: "Hallo, hier ist dein Assistent. Was kann ich für dich tun?",
    setting_up: "Hallo und willkommen! Ich richte gerade deinen Assistenten ein. Das dauert weniger als eine Minute, bitte bleib dran.",
    still_setting_up: "Dein Assistent ist gleich so weit. Danke für deine Geduld.",
    will_write_when_ready: "Das dauert leider länger als gedacht. Ich schreibe dir auf WhatsApp, sobald dein Assistent bereit ist. Bis bald!",
    fillers: [
        "Einen Moment.",
        "Ich sehe kurz nach.",
        "Ich kümmere mich darum.",
        "Ich bin noch dran, nur noch ein wenig.",
        "Einen Augenblick noch, bitte.",
        "Ich habe es gleich.",
    ],
    did_not_hear: [
        "Entschuldige, das habe ich nicht verstanden. Sagst du es bitte noch einmal?",
        "Ich höre dich leider noch immer nicht gut. Bitte sag noch einmal etwas lauter, was ich für dich tun kann.",
    ],
    goodbye: "Auf Wiederhören, und ruf gern wieder an!",
    apology: "Es tut mir leid, bei uns klemmt gerade etwas. Bitte versuch es in ein paar Minuten noch einmal oder schreib mir auf WhatsApp.",
    could_not_answer: "Es tut mir leid, darauf konnte ich gerade nicht antworten. Bitte frag mich noch einmal.",
    ask_pin: "Damit ich sicher bin, dass du es bist: Bitte nenne deine PIN oder tippe sie ein.",
    wrong_pin: "Das war nicht die richtige PIN. Bitte versuch es noch einmal.",
    set_pin_in_chat: "Ich kann nicht sicher erkennen, wer anruft. Bitte lege in unserem WhatsApp-Chat eine PIN fest und ruf dann noch einmal an.",
    ask_number: "Deine Nummer ist unterdrückt. Bitte tippe deine Telefonnummer mit Ländervorwahl ein und drücke dann die Rautetaste.",
    rest_on_whatsapp: "Den Rest habe ich dir auf WhatsApp geschickt.",
    answer_on_whatsapp: "Das dauert ein wenig. Ich schicke dir die Antwort auf WhatsApp.",
    line_was_broken: "Entschuldige, die Verbindung war gestört. Sprich bitte weiter.",
    a_link: "ein Link",
    code_left_out: "Hier steht Code, den ich nicht vorlese.",
};
