use super::Phrases;

pub(super) const PHRASES: Phrases = Phrases {
    greeting: "Hallo, je spreekt met je assistent. Wat kan ik voor je doen?",
    setting_up: "Hallo en welkom! Ik zet je assistent klaar. Dat duurt minder dan een minuut, blijf even aan de lijn.",
    still_setting_up: "Je assistent is bijna klaar. Bedankt voor het wachten.",
    will_write_when_ready: "Dit duurt langer dan verwacht. Ik stuur je een bericht op WhatsApp zodra je assistent klaar is. Tot snel!",
    fillers: [
        "Een moment.",
        "Even kijken.",
        "Ik ben ermee bezig.",
        "Ik ben er nog mee bezig, nog heel even.",
        "Nog een ogenblik, alsjeblieft.",
        "Ik ben er bijna.",
    ],
    did_not_hear: [
        "Sorry, dat heb ik niet verstaan. Kun je het nog eens zeggen?",
        "Ik hoor je nog steeds niet goed. Zeg nog eens, iets harder, wat ik voor je kan doen.",
    ],
    goodbye: "Tot ziens, en bel gerust nog eens!",
    apology: "Het spijt me, er werkt bij ons even iets niet. Probeer het over een paar minuten opnieuw, of stuur me een bericht op WhatsApp.",
    could_not_answer: "Het spijt me, daar kon ik nu even geen antwoord op geven. Vraag het me alsjeblieft nog een keer.",
    ask_pin: "Om zeker te weten dat jij het bent: zeg of toets je pincode, alsjeblieft.",
    wrong_pin: "Dat was niet de juiste pincode. Probeer het nog een keer, alsjeblieft.",
    set_pin_in_chat: "Ik kan niet met zekerheid zien wie er belt. Stel een pincode in via onze WhatsApp-chat en bel daarna opnieuw.",
    ask_number: "Je nummer is afgeschermd. Toets je telefoonnummer met landcode in en sluit af met een hekje.",
    rest_on_whatsapp: "De rest heb ik je op WhatsApp gestuurd.",
    answer_on_whatsapp: "Dit duurt even. Ik stuur je het antwoord op WhatsApp.",
    line_was_broken: "Sorry, de verbinding viel weg. Ga verder, alsjeblieft.",
    a_link: "een link",
    code_left_out: "Hier staat code die ik niet voorlees.",
};
