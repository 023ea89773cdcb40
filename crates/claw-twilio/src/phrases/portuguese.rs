use super::Phrases;

pub(super) const PHRASES: Phrases = Phrases {
    greeting: "Oi, aqui é o seu assistente. Em que posso ajudar?",
    setting_up: "Olá e boas-vindas! Estou preparando o seu assistente. Leva menos de um minuto, fique na linha, por favor.",
    still_setting_up: "O seu assistente está quase pronto. Obrigado por esperar.",
    will_write_when_ready: "Está demorando mais do que deveria. Vou escrever para você no WhatsApp assim que o seu assistente estiver pronto. Até logo!",
    fillers: [
        "Um momento.",
        "Deixa eu ver.",
        "Estou verificando.",
        "Ainda estou vendo, só mais um pouco.",
        "Só um instante, por favor.",
        "Já estou quase lá.",
    ],
    did_not_hear: [
        "Desculpe, não entendi. Pode repetir?",
        "Ainda não consigo ouvir bem. Diga de novo, um pouco mais alto, o que posso fazer por você.",
    ],
    goodbye: "Tchau, ligue quando quiser!",
    apology: "Desculpe, algo não está funcionando do nosso lado. Tente de novo em alguns minutos ou me escreva no WhatsApp.",
    could_not_answer: "Desculpe, não consegui responder a isso agora. Pergunte de novo, por favor.",
    ask_pin: "Para ter certeza de que é você, diga ou digite o seu PIN, por favor.",
    wrong_pin: "Esse não é o PIN certo. Tente mais uma vez, por favor.",
    set_pin_in_chat: "Não consigo saber com certeza quem está ligando. Defina um PIN na nossa conversa do WhatsApp e ligue de novo.",
    ask_number: "O seu número está oculto. Digite o seu telefone com o código do país e depois a tecla jogo da velha.",
    rest_on_whatsapp: "Enviei o resto para você no WhatsApp.",
    answer_on_whatsapp: "Isso vai demorar um pouco. Vou enviar a resposta no WhatsApp.",
    line_was_broken: "Desculpe, a linha caiu. Pode continuar.",
    a_link: "um link",
    code_left_out: "Aqui há um código que não vou ler em voz alta.",
};
