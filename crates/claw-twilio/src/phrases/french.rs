use super::Phrases;

pub(super) const PHRASES: Phrases = Phrases {
    greeting: "Bonjour, ici votre assistant. Que puis-je faire pour vous ?",
    setting_up: "Bonjour et bienvenue ! Je prépare votre assistant. Cela prend moins d'une minute, restez en ligne, s'il vous plaît.",
    still_setting_up: "Votre assistant est presque prêt. Merci de votre patience.",
    will_write_when_ready: "Cela prend plus de temps que prévu. Je vous écrirai sur WhatsApp dès que votre assistant sera prêt. À bientôt !",
    fillers: [
        "Un instant.",
        "Je regarde.",
        "Je m'en occupe.",
        "J'y suis encore, juste un petit moment.",
        "Encore un instant, s'il vous plaît.",
        "J'ai presque fini.",
    ],
    did_not_hear: [
        "Pardon, je n'ai pas compris. Pouvez-vous répéter ?",
        "Je vous entends toujours mal. Redites-moi un peu plus fort ce que je peux faire pour vous, s'il vous plaît.",
    ],
    goodbye: "Au revoir, et rappelez quand vous voulez !",
    apology: "Je suis désolé, quelque chose ne fonctionne pas de notre côté. Réessayez dans quelques minutes ou écrivez-moi sur WhatsApp.",
    could_not_answer: "Je suis désolé, je n'ai pas pu répondre cette fois. Posez-moi la question encore une fois, s'il vous plaît.",
    ask_pin: "Pour être sûr que c'est bien vous, dites ou tapez votre code PIN, s'il vous plaît.",
    wrong_pin: "Ce n'est pas le bon code PIN. Essayez encore une fois, s'il vous plaît.",
    set_pin_in_chat: "Je ne peux pas savoir avec certitude qui appelle. Choisissez un code PIN dans notre discussion WhatsApp, puis rappelez.",
    ask_number: "Votre numéro est masqué. Tapez votre numéro de téléphone avec l'indicatif du pays, puis la touche dièse.",
    rest_on_whatsapp: "Je vous ai envoyé la suite sur WhatsApp.",
    answer_on_whatsapp: "Cela va prendre un peu de temps. Je vous enverrai la réponse sur WhatsApp.",
    line_was_broken: "Pardon, la ligne a été coupée. Continuez, je vous en prie.",
    a_link: "un lien",
    code_left_out: "Il y a ici du code que je ne lis pas à voix haute.",
};
