use super::Phrases;

pub(super) const PHRASES: Phrases = Phrases {
    greeting: "Ciao, sono il tuo assistente. Cosa posso fare per te?",
    setting_up: "Ciao e benvenuto! Sto preparando il tuo assistente. Ci vuole meno di un minuto, resta in linea, per favore.",
    still_setting_up: "Il tuo assistente è quasi pronto. Grazie per l'attesa.",
    will_write_when_ready: "Ci vuole più tempo del previsto. Ti scriverò su WhatsApp appena il tuo assistente sarà pronto. A presto!",
    fillers: [
        "Un momento.",
        "Fammi vedere.",
        "Me ne sto occupando.",
        "Ci sono quasi, ancora un attimo.",
        "Un attimo di pazienza, per favore.",
        "Ho quasi finito.",
    ],
    did_not_hear: [
        "Scusa, non ho capito. Puoi ripetere?",
        "Non ti sento ancora bene. Dimmi di nuovo, a voce un po' più alta, cosa posso fare per te.",
    ],
    goodbye: "Ciao, chiama quando vuoi!",
    apology: "Mi dispiace, in questo momento qualcosa non funziona da parte nostra. Riprova tra qualche minuto o scrivimi su WhatsApp.",
    could_not_answer: "Mi dispiace, questa volta non sono riuscito a rispondere. Chiedimelo ancora una volta, per favore.",
    ask_pin: "Per essere sicuro che sia tu, di' o digita il tuo PIN, per favore.",
    wrong_pin: "Non è il PIN giusto. Prova ancora una volta, per favore.",
    set_pin_in_chat: "Non posso sapere con certezza chi chiama. Imposta un PIN nella nostra chat WhatsApp e poi richiama.",
    ask_number: "Il tuo numero è nascosto. Digita il tuo numero di telefono con il prefisso internazionale, poi premi cancelletto.",
    rest_on_whatsapp: "Ti ho mandato il resto su WhatsApp.",
    answer_on_whatsapp: "Ci vorrà un po'. Ti manderò la risposta su WhatsApp.",
    line_was_broken: "Scusa, la linea è caduta. Continua pure.",
    a_link: "un link",
    code_left_out: "Qui c'è del codice che non leggo ad alta voce.",
};
