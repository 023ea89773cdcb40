use super::Phrases;

pub(super) const PHRASES: Phrases = Phrases {
    greeting: "Hi, this is your assistant. What can I do for you?",
    setting_up: "Hello and welcome! I am setting up your assistant. This takes less than a minute, please stay on the line.",
    still_setting_up: "Your assistant is almost ready. Thank you for waiting.",
    will_write_when_ready: "This is taking longer than it should. I will write to you on WhatsApp as soon as your assistant is ready. Talk to you soon!",
    fillers: [
        "One moment.",
        "Let me see.",
        "I am looking into it.",
        "Still on it, just a little longer.",
        "Bear with me, please.",
        "I am nearly there.",
    ],
    did_not_hear: [
        "Sorry, I did not catch that. Could you say it again?",
        "I still cannot hear you well. Please say once more, a little louder, what I can do for you.",
    ],
    goodbye: "Goodbye, and call again any time!",
    apology: "I am sorry, something is not working on our side right now. Please try again in a few minutes, or write to me on WhatsApp.",
    could_not_answer: "I am sorry, I could not answer that just now. Please ask me once more.",
    ask_pin: "To be sure that it is you, please say or key in your PIN.",
    wrong_pin: "That was not the right PIN. Please try once more.",
    set_pin_in_chat: "I cannot tell for certain who is calling. Please set a PIN in our WhatsApp chat and then call again.",
    ask_number: "Your number is hidden. Please key in your phone number with country code, then press the hash key.",
    rest_on_whatsapp: "I have sent you the rest on WhatsApp.",
    answer_on_whatsapp: "This takes a while. I will send you the answer on WhatsApp.",
    line_was_broken: "Sorry, the line was interrupted. Please go on.",
    a_link: "a link",
    code_left_out: "There is some code here that I am not reading out.",
};
