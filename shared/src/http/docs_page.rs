//! The OpenAPI document as a page for people: one file, no scripts, nothing from elsewhere.

use std::fmt::Write as _;
use std::sync::LazyLock;

use serde_json::Value;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{OpenApi, RefOr, Response, Schema};

use super::openapi::document;

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--link:light-dark(#0b57d0,#8ab4f8);--quiet:light-dark(#555,#aaa)}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem 1.25rem 6rem}
a{color:var(--link)}
h1{margin:.5rem 0 0}h2{margin:3rem 0 .5rem;border-bottom:1px solid var(--line)}h3{margin:2.5rem 0 .25rem;font-size:1.1rem}
h4{margin:1rem 0 .25rem;font-size:.9rem;color:var(--quiet)}
h3 a{color:inherit;text-decoration:none}h3 a:hover{text-decoration:underline}
:target{scroll-margin-top:1rem;background:var(--soft)}
code,pre{font:.875em/1.45 ui-monospace,monospace}
pre{background:var(--soft);padding:.75rem;overflow:auto;border-radius:.25rem}
nav ul{list-style:none;padding:0;margin:.25rem 0}nav li{margin:.1rem 0}
table{border-collapse:collapse;width:100%;display:block;overflow-x:auto}
td,th{text-align:left;vertical-align:top;padding:.3rem .75rem .3rem 0;border-bottom:1px solid var(--line)}
td:last-child{width:100%}
.method{display:inline-block;min-width:4.5rem;font-weight:600}
.quiet{color:var(--quiet)}
";

/// The page.
#[must_use]
pub fn page() -> &'static str {
    static PAGE: LazyLock<String> = LazyLock::new(|| render(&document()));
    &PAGE
}

/// One operation of the document.
struct Route<'a> {
    method: &'static str,
    path: &'a str,
    operation: &'a Operation,
}

impl Route<'_> {
    fn id(&self) -> &str {
        self.operation.operation_id.as_deref().unwrap_or_default()
    }

    fn summary(&self) -> &str {
        self.operation.summary.as_deref().unwrap_or_default()
    }

    fn is_tagged(&self, tag: &str) -> bool {
        self.operation.tags.iter().flatten().any(|own| own == tag)
    }
}

/// The page as it grows.
struct Page(String);

impl Page {
    fn add(&mut self, html: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        self.0.write_fmt(html).unwrap_or_default();
    }
}

fn render(document: &OpenApi) -> String {
    let routes = routes(document);
    let title = escaped(&document.info.title);
    let mut page = Page(String::new());
    page.add(format_args!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<p class=\"quiet\">Version {} · \
         <a href=\"/openapi.json\">openapi.json</a></p>\n",
        escaped(&document.info.version)
    ));
    for paragraph in document.info.description.as_deref().unwrap_or_default().split("\n\n") {
        page.add(format_args!("<p>{}</p>\n", marked(paragraph)));
    }
    let tags: Vec<(&str, &str)> =
        document.tags.iter().flatten().map(|tag| (tag.name.as_str(), tag.description.as_deref().unwrap_or_default())).collect();
    contents(&mut page, &tags, &routes);
    for (tag, description) in &tags {
        page.add(format_args!(
            "<h2 id=\"{}\">{}</h2>\n<p>{}</p>\n",
            tag.to_lowercase().replace(' ', "-"),
            escaped(tag),
            marked(description)
        ));
        for route in routes.iter().filter(|route| route.is_tagged(tag)) {
            route_section(&mut page, route);
        }
    }
    schemas(&mut page, document);
    problems(&mut page, document);
    page.add(format_args!("</body>\n</html>\n"));
    page.0
}

fn routes(document: &OpenApi) -> Vec<Route<'_>> {
    document
        .paths
        .paths
        .iter()
        .flat_map(|(path, item)| {
            let operations =
                [("GET", &item.get), ("POST", &item.post), ("PUT", &item.put), ("PATCH", &item.patch), ("DELETE", &item.delete)];
            operations.into_iter().filter_map(move |(method, operation)| Some(Route { method, path, operation: operation.as_ref()? }))
        })
        .collect()
}

fn contents(page: &mut Page, tags: &[(&str, &str)], routes: &[Route<'_>]) {
    page.add(format_args!("<nav>\n"));
    for (tag, _) in tags {
        page.add(format_args!("<h4>{}</h4>\n<ul>\n", escaped(tag)));
        for route in routes.iter().filter(|route| route.is_tagged(tag)) {
            page.add(format_args!(
                "<li><code><span class=\"method\">{}</span><a href=\"#route-{}\">{}</a></code> <span class=\"quiet\">{}</span></li>\n",
                route.method,
                escaped(route.id()),
                escaped(route.path),
                marked(route.summary())
            ));
        }
        page.add(format_args!("</ul>\n"));
    }
    page.add(format_args!("<p><a href=\"#schemas\">Schemas</a> · <a href=\"#problems\">Problems</a></p>\n</nav>\n"));
}

fn route_section(page: &mut Page, route: &Route<'_>) {
    let id = escaped(route.id());
    page.add(format_args!(
        "<section id=\"route-{id}\">\n<h3><a href=\"#route-{id}\">{}</a></h3>\n<p><code><span class=\"method\">{}</span>{}</code></p>\n\
         <p>{}</p>\n",
        marked(route.summary()),
        route.method,
        escaped(route.path),
        marked(route.operation.description.as_deref().unwrap_or_default())
    ));
    let operation = value_of(route.operation);
    let parameters: Vec<&Value> = operation["parameters"].as_array().into_iter().flatten().collect();
    if !parameters.is_empty() {
        page.add(format_args!("<h4>Parameters</h4>\n<table>\n"));
        for parameter in parameters {
            page.add(format_args!(
                "<tr><td><code>{}</code></td><td class=\"quiet\">{}</td><td>{}: {}</td></tr>\n",
                escaped(text(&parameter["name"])),
                escaped(text(&parameter["in"])),
                type_of(&parameter["schema"]),
                marked(text(&parameter["description"]))
            ));
        }
        page.add(format_args!("</table>\n"));
    }
    if let Some(content) = operation.pointer("/requestBody/content/application~1json") {
        page.add(format_args!("<h4>Request</h4>\n<p>{}</p>\n{}", type_of(&content["schema"]), example(content)));
    }
    page.add(format_args!("<h4>Answers</h4>\n<table>\n"));
    for (status, response) in &route.operation.responses.responses {
        if let RefOr::T(response) = response {
            answer_row(page, status, response);
        }
    }
    page.add(format_args!("</table>\n"));
    if let Some(content) = operation.pointer("/responses/200/content/application~1json") {
        page.add(format_args!("{}", example(content)));
    }
    page.add(format_args!("</section>\n"));
}

fn answer_row(page: &mut Page, status: &str, response: &Response) {
    let response_value = value_of(response);
    let content = response_value["content"].as_object().and_then(|contents| contents.values().next());
    let schema = content.map(|content| type_of(&content["schema"])).unwrap_or_default();
    let headers = response_value["headers"].as_object().into_iter().flatten().fold(String::new(), |headers, (name, header)| {
        headers
            + &format!("<br><span class=\"quiet\">Header <code>{}</code>: {}</span>", escaped(name), marked(text(&header["description"])))
    });
    page.add(format_args!(
        "<tr><td><code>{}</code></td><td>{schema}</td><td>{}{headers}</td></tr>\n",
        escaped(status),
        marked(&response.description)
    ));
}

fn example(content: &Value) -> String {
    match content.get("example") {
        Some(example) => format!("<pre>{}</pre>\n", escaped(&serde_json::to_string_pretty(example).unwrap_or_default())),
        None => String::new(),
    }
}

fn schemas(page: &mut Page, document: &OpenApi) {
    page.add(format_args!("<h2 id=\"schemas\">Schemas</h2>\n"));
    for (name, schema) in document.components.iter().flat_map(|components| &components.schemas) {
        let name = escaped(name);
        let whole = value_of(schema);
        page.add(format_args!(
            "<section id=\"schema-{name}\">\n<h3><a href=\"#schema-{name}\">{name}</a></h3>\n<p>{}</p>\n",
            marked(text(&whole["description"]))
        ));
        if let RefOr::T(Schema::Object(object)) = schema
            && !object.properties.is_empty()
        {
            page.add(format_args!("<table>\n"));
            for (field, schema) in &object.properties {
                let schema = value_of(schema);
                let note = match (object.required.contains(field), may_be_null(&schema)) {
                    (true, false) => "",
                    (true, true) => "<br><span class=\"quiet\">or null</span>",
                    (false, _) => "<br><span class=\"quiet\">optional</span>",
                };
                page.add(format_args!(
                    "<tr><td><code>{}</code></td><td>{}{note}</td><td>{}</td></tr>\n",
                    escaped(field),
                    type_of(&schema),
                    marked(description_of(&schema))
                ));
            }
            page.add(format_args!("</table>\n"));
        } else {
            page.add(format_args!("<p>{}</p>\n", type_of(&whole)));
        }
        page.add(format_args!("</section>\n"));
    }
}

fn problems(page: &mut Page, document: &OpenApi) {
    page.add(format_args!(
        "<h2 id=\"problems\">Problems</h2>\n<p>Every problem has a <code>detail</code>, and a <code>type</code> that leads here.</p>\n"
    ));
    let components = document.components.as_ref().map(value_of).unwrap_or_default();
    for problem in components["x-problems"].as_array().into_iter().flatten() {
        let slug = escaped(text(&problem["slug"]));
        page.add(format_args!(
            "<section id=\"problem-{slug}\">\n<h3><a href=\"#problem-{slug}\">{}</a></h3>\n<p><code>{}</code> \
             <span class=\"quiet\">{}</span></p>\n<p>{}</p>\n</section>\n",
            escaped(text(&problem["title"])),
            problem["status"],
            escaped(text(&problem["type"])),
            marked(text(&problem["advice"]))
        ));
    }
}

fn value_of<T: serde::Serialize>(part: &T) -> Value {
    serde_json::to_value(part).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What a field is: said of itself, or of what it is if it is not null.
fn description_of(schema: &Value) -> &str {
    schema["description"].as_str().or_else(|| schema.pointer("/oneOf/0/description")?.as_str()).unwrap_or_default()
}

fn may_be_null(schema: &Value) -> bool {
    schema["type"].as_array().is_some_and(|types| types.iter().any(|name| name == "null"))
        || schema["oneOf"].as_array().is_some_and(|schemas| schemas.iter().any(|schema| schema["type"] == "null"))
}

/// What a schema allows besides null, in few words.
fn type_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|target| target.rsplit('/').next()) {
        return format!("<a href=\"#schema-{0}\">{0}</a>", escaped(name));
    }
    for (several, word) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " with ")] {
        if let Some(schemas) = schema[several].as_array() {
            return schemas.iter().filter(|schema| schema["type"] != "null").map(type_of).collect::<Vec<_>>().join(word);
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(|word| format!("<code>{}</code>", escaped(text(word)))).collect::<Vec<_>>().join(" ");
    }
    let name = match &schema["type"] {
        Value::Array(types) => types.iter().map(text).filter(|name| *name != "null").collect::<Vec<_>>().join(" or "),
        Value::String(name) if name == "array" => return format!("list of {}", type_of(&schema["items"])),
        Value::String(name) => name.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => "anything".to_owned(),
    };
    let mut limits = String::new();
    let members = [
        ("minimum", "from"),
        ("maximum", "to"),
        ("minLength", "from"),
        ("maxLength", "to"),
        ("minItems", "from"),
        ("maxItems", "to"),
        ("default", "by default"),
    ];
    for (member, words) in members {
        if let Some(limit) = schema.get(member) {
            let shown = limit.as_str().map_or_else(|| limit.to_string(), str::to_owned);
            let unit = if member == "maxLength" { " characters" } else { "" };
            // Writing to a string cannot fail.
            write!(limits, " {words} {}{unit}", escaped(&shown)).unwrap_or_default();
        }
    }
    format!("{}<span class=\"quiet\">{limits}</span>", escaped(&name))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Text with `code` and [links](#to).
fn marked(text: &str) -> String {
    let mut html = String::new();
    for (index, part) in escaped(text).split('`').enumerate() {
        if index % 2 == 1 {
            html.extend(["<code>", part, "</code>"]);
        } else {
            html += &linked(part);
        }
    }
    html
}

fn linked(text: &str) -> String {
    let link = |text: &str| -> Option<(String, String)> {
        let (before, rest) = text.split_once('[')?;
        let (label, rest) = rest.split_once("](")?;
        let (target, after) = rest.split_once(')')?;
        let target = target.strip_prefix("/docs").unwrap_or(target);
        Some((format!("{before}<a href=\"{target}\">{label}</a>"), after.to_owned()))
    };
    let (mut html, mut rest) = (String::new(), text.to_owned());
    while let Some((done, after)) = link(&rest) {
        html += &done;
        rest = after;
    }
    html + &rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::ProblemKind;
    use crate::http::routes::ROUTES;

    #[test]
    fn every_route_and_every_problem_has_an_anchor() {
        for route in ROUTES {
            assert!(page().contains(&format!("id=\"route-{}\"", route.operation_id)), "{}", route.operation_id);
        }
        for kind in ProblemKind::ALL {
            let uri = kind.uri();
            let anchor = uri.strip_prefix("/docs#").unwrap();
            assert!(page().contains(&format!("id=\"{anchor}\"")), "{anchor}");
        }
    }

    #[test]
    fn every_link_within_the_page_leads_somewhere() {
        let targets: Vec<&str> = page().split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(targets.len() > 50);
        for target in targets {
            assert!(page().contains(&format!("id=\"{target}\"")), "{target}");
        }
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        for word in ["<script", "src=", "href=\"http", "href=\"//", "@import", "url("] {
            assert!(!page().contains(word), "{word}");
        }
    }

    #[test]
    fn text_is_escaped_before_it_is_marked() {
        assert_eq!(marked("a <b> `c&d` [e](/docs#f) [g] \"h\""), "a &lt;b&gt; <code>c&amp;d</code> <a href=\"#f\">e</a> [g] &quot;h&quot;");
    }
}
