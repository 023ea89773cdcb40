use serde_json::Value;

use super::error::GraphError;

/// Longest body of a template with its parameters, in characters.
const BODY_LIMIT_CHARS: usize = 1024;

/// Most consecutive spaces in a parameter.
const BLANKS_LIMIT: usize = 4;

/// A template that Meta has approved for the business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimTemplate {
    /// The name and the language code, as `<name>:<language code>`.
    pub name: String,
    /// The text, with a placeholder for each parameter: `{{1}}`, `{{2}}` …
    pub body: String,
}

impl Default for SimTemplate {
    fn default() -> Self {
        Self {
            name: "assistant_writes:en".to_owned(),
            body: "Your assistant writes: {{1}}".to_owned(),
        }
    }
}

impl SimTemplate {
    fn render(&self, parameters: &[&str]) -> Result<String, GraphError> {
        let places = self.body.matches("{{").count();
        if parameters.len() != places {
            return Err(GraphError::of_code(132_000).with_details(format!(
                "body: number of localizable_params ({}) does not match the expected number of params \
                 ({places})",
                parameters.len()
            )));
        }
        let mut text = self.body.clone();
        for (number, parameter) in (1..).zip(parameters) {
            text = text.replace(&format!("{{{{{number}}}}}"), parameter);
        }
        if text.chars().count() > BODY_LIMIT_CHARS {
            return Err(GraphError::of_code(132_005));
        }
        Ok(text)
    }
}

/// The text that the user reads for this `template` object of a request. Every error has the code that
/// Meta returns for it.
pub(crate) fn render(template: &Value, approved: &[SimTemplate]) -> Result<String, GraphError> {
    let part = |value: &Value, name: &str| {
        let part = value.as_str().map(str::to_owned);
        part.ok_or_else(|| GraphError::missing(name))
    };
    let name = part(&template["name"], "template.name")?;
    let language = part(&template["language"]["code"], "template.language.code")?;
    let name = format!("{name}:{language}");
    let known = approved.iter().find(|template| template.name == name);
    let known = known.ok_or_else(|| {
        GraphError::of_code(132_001).with_details(format!("template name {name} does not exist"))
    })?;
    let components = template["components"].as_array().into_iter().flatten();
    let bodies = components.filter(|component| component["type"] == "body");
    let parameters = bodies.filter_map(|body| body["parameters"].as_array());
    let texts = parameters.flatten().map(parameter);
    known.render(&texts.collect::<Result<Vec<_>, _>>()?)
}

fn parameter(parameter: &Value) -> Result<&str, GraphError> {
    if parameter["type"] != "text" {
        return Err(GraphError::of_code(132_012));
    }
    let text = parameter["text"].as_str().filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| GraphError::missing("parameters.text"))?;
    let too_many_blanks = " ".repeat(BLANKS_LIMIT + 1);
    if text.contains(['\n', '\r', '\t']) || text.contains(&too_many_blanks) {
        return Err(GraphError::of_code(132_018));
    }
    Ok(text)
}
