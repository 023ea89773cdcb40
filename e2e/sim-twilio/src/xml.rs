use quick_xml::{Reader, escape::resolve_predefined_entity, events::BytesStart, events::Event};

/// An XML element with its children in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Element>,
    /// All text inside, including that of children (SSML).
    pub(crate) text: String,
}

impl Element {
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(its, _)| its == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a numeric attribute; `None` if it is absent or not a number.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.attribute(name)?.parse().ok()
    }

    pub(crate) fn attribute_names(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(|(name, _)| name.as_str())
    }
}

/// Parses a document strictly: nothing before the first tag, one root, all tags closed.
pub(crate) fn parse(document: &str) -> Result<Element, String> {
    if !document.starts_with('<') {
        return Err("the document does not start with a tag".to_owned());
    }
    let mut reader = Reader::from_str(document);
    let mut open: Vec<Element> = vec![Element::default()];
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        let top = open.last_mut().ok_or("more is closed than was opened")?;
        match event {
            Event::Start(start) => open.push(element(&start)?),
            Event::Empty(empty) => top.children.push(element(&empty)?),
            Event::End(_) => {
                let done = open.pop().ok_or("more is closed than was opened")?;
                let parent = open.last_mut().ok_or("more is closed than was opened")?;
                parent.text.push_str(&done.text);
                parent.children.push(done);
            }
            Event::Text(text) => top.text.push_str(&text.xml10_content()),
            Event::CData(text) => top.text.push_str(&text.xml10_content()),
            Event::GeneralRef(entity) => {
                let of_number = entity
                    .resolve_char_ref()
                    .map_err(|error| error.to_string())?;
                let name = entity.xml10_content();
                match (of_number, resolve_predefined_entity(&name)) {
                    (Some(character), _) => top.text.push(character),
                    (None, Some(text)) => top.text.push_str(text),
                    (None, None) => return Err(format!("the entity {name} is not known")),
                }
            }
            Event::DocType(_) => {
                return Err("a document type declaration is not accepted".to_owned());
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    let around = open.pop().ok_or("more is closed than was opened")?;
    if !open.is_empty() {
        return Err("the document ends inside an element".to_owned());
    }
    match <[Element; 1]>::try_from(around.children) {
        Ok([root]) if around.text.trim() == root.text.trim() => Ok(root),
        Ok(_) => Err("there is text beside the root".to_owned()),
        Err(_) => Err("a document has one root".to_owned()),
    }
}

fn element(start: &BytesStart<'_>) -> Result<Element, String> {
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = attribute
            .normalized_value(quick_xml::XmlVersion::Implicit1_0)
            .map_err(|error| error.to_string())?;
        attributes.push((attribute.key.into_inner().to_owned(), value.into_owned()));
    }
    Ok(Element {
        name: start.name().into_inner().to_owned(),
        attributes,
        ..Element::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_attributes_are_unescaped() {
        let document = "<?xml version='1.0'?>\n\
                        <Response><Say voice='a&amp;b'>1 &lt; 2 &#8364;</Say></Response>";
        let root = parse(document).unwrap();

        assert_eq!(root.children[0].text, "1 < 2 €");
        assert_eq!(root.children[0].attribute("voice"), Some("a&b"));
    }

    #[test]
    fn malformed_documents_are_refused() {
        for broken in [
            "",
            " <Response/>",
            "\u{feff}<Response/>",
            "<Response>",
            "<Response><Say>a & b</Say></Response>",
            "<Response><Say>a</Response></Say>",
            "<Response><Say>&nbsp;</Say></Response>",
            "<Response a='1' a='2'/>",
            "<Response/><Response/>",
            "<Response/>and more",
        ] {
            assert!(parse(broken).is_err(), "{broken:?}");
        }
    }
}
