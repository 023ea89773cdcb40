use super::Phrases;

pub(super) const PHRASES: Phrases = Phrases {
    greeting: "Hola, soy tu asistente. ¿En qué puedo ayudarte?",
    setting_up: "¡Hola y bienvenido! Estoy preparando tu asistente. Tarda menos de un minuto, no cuelgues, por favor.",
    still_setting_up: "Tu asistente está casi listo. Gracias por esperar.",
    will_write_when_ready: "Está tardando más de lo previsto. Te escribiré por WhatsApp en cuanto tu asistente esté listo. ¡Hasta pronto!",
    fillers: [
        "Un momento.",
        "Déjame ver.",
        "Lo estoy mirando.",
        "Sigo en ello, solo un poco más.",
        "Dame un segundo, por favor.",
        "Ya casi lo tengo.",
    ],
    did_not_hear: [
        "Perdona, no te he entendido. ¿Puedes repetirlo?",
        "Sigo sin oírte bien. Dime otra vez, un poco más alto, qué puedo hacer por ti, por favor.",
    ],
    goodbye: "¡Hasta luego, llama cuando quieras!",
    apology: "Lo siento, ahora mismo algo no funciona por nuestra parte. Inténtalo de nuevo en unos minutos o escríbeme por WhatsApp.",
    could_not_answer: "Lo siento, ahora mismo no he podido responder a eso. Pregúntamelo otra vez, por favor.",
    ask_pin: "Para asegurarme de que eres tú, di o marca tu PIN, por favor.",
    wrong_pin: "Ese no es el PIN correcto. Inténtalo una vez más, por favor.",
    set_pin_in_chat: "No puedo saber con certeza quién llama. Elige un PIN en nuestro chat de WhatsApp y vuelve a llamar, por favor.",
    ask_number: "Tu número está oculto. Marca tu número de teléfono con el prefijo del país y después la tecla almohadilla.",
    rest_on_whatsapp: "Te he enviado el resto por WhatsApp.",
    answer_on_whatsapp: "Esto va a tardar un poco. Te enviaré la respuesta por WhatsApp.",
    line_was_broken: "Perdona, se ha cortado la línea. Sigue, por favor.",
    a_link: "un enlace",
    code_left_out: "Aquí hay código que no voy a leer en voz alta.",
};
