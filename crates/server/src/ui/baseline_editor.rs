//! The editor of baselines: sentences with gaps to fill, or the document, beside what it means and would change.

use api::v1::baseline::{BaselinePreview, PreviewBaseline, SaveBaseline};
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use domain::decide::select;
use domain::model::baseline::{Baseline, NamedBaseline, PatchFilters, RULES_MAX, SOURCES_MAX};
use domain::model::platform::OperatingSystem;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::App;
use crate::actions::ActionError;
use crate::actions::baselines;
use crate::http::{ApiError, BrowserSession};
use crate::ui::baselines::{difference, state_words};
use crate::ui::errors::{PageError, PageQuery, cross_site};
use crate::ui::layout::{self, Section};
use crate::ui::parts::{self, FormPairs, choice};

/// Most conditions of one rule in the form: one for each filter there is.
const CONDITIONS_MAX: usize = 10;

/// Where a new baseline begins.
#[derive(Deserialize)]
pub struct NewBaseline {
    copy: Option<String>,
}

pub async fn new(State(app): State<App>, session: BrowserSession, PageQuery(query): PageQuery<NewBaseline>) -> Result<Html<String>, PageError> {
    let copied = query.copy.as_deref().map(|id| baselines::find(&app, &session.caller, id)).transpose()?;
    let first = || baselines::list(&app, &session.caller).into_iter().find(|today| today.named.predefined && today.named.baseline.operating_system == OperatingSystem::Debian);
    let mut baseline = copied.or_else(first).map(|today| today.named.baseline).ok_or_else(|| ActionError::invalid("copy", "there is nothing to copy"))?;
    baseline.name = format!("{}-copy", baseline.name.trim_start_matches("Fettle-").chars().take(100).collect::<String>());
    Ok(page(&app, &session, None, &Draft::of_baseline(&baseline)))
}

/// Which version an edit begins with.
#[derive(Deserialize)]
pub struct EditBaseline {
    version: Option<u32>,
}

pub async fn edit(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, PageQuery(query): PageQuery<EditBaseline>) -> Result<Html<String>, PageError> {
    let named = baselines::find(&app, &session.caller, &id)?.named;
    let mut draft = Draft::of_baseline(&named.baseline);
    if let Some(number) = query.version {
        let versions = baselines::list_versions(&app, &session.caller, &id).await?;
        let old = versions.into_iter().find(|version| version.version == number).and_then(|version| version.document);
        draft = Draft::of_baseline(&old.ok_or_else(|| ActionError::invalid("version", format!("there is no version {number}")))?);
        draft.reason = format!("restored version {number}");
    }
    draft.edited_version = Some(named.version);
    Ok(page(&app, &session, Some(&named), &draft))
}

pub async fn create(State(app): State<App>, session: BrowserSession, form: FormPairs) -> Result<Response, PageError> {
    submit(&app, &session, None, &form).await
}

pub async fn save(State(app): State<App>, session: BrowserSession, Path(id): Path<String>, form: FormPairs) -> Result<Response, PageError> {
    let named = baselines::find(&app, &session.caller, &id)?.named;
    submit(&app, &session, Some(&named), &form).await
}

/// Saves, or does what another button says; what cannot be saved stays in the editor.
async fn submit(app: &App, session: &BrowserSession, edited: Option<&NamedBaseline>, form: &FormPairs) -> Result<Response, PageError> {
    if !form.belongs_to(session) {
        return Ok(cross_site());
    }
    let mut draft = Draft::of_form(form);
    if form.value("choice") == "save" && draft.problem().is_none() {
        let request = SaveBaseline { document: draft.document(), reason: draft.reason.clone(), edited_version: draft.edited_version };
        // What is wrong with the document is shown beside it.
        match baselines::save(app, &session.caller, edited.map(|named| named.id.as_str()), &request).await {
            Ok(saved) => return Ok(Redirect::to(&format!("/baselines/{}", saved.named.id)).into_response()),
            Err(ActionError::InvalidValue { field: "document", .. }) if Baseline::parse(&request.document).is_err() => {}
            Err(error) => return Err(error.into()),
        }
    }
    draft.choose(form.value("choice"));
    Ok(page(app, session, edited, &draft).into_response())
}

/// What stands in the editor.
struct Draft {
    text: Text,
    reason: String,
    edited_version: Option<u32>,
}

enum Text {
    Sentences(Box<Sentences>),
    Yaml(String),
}

impl Draft {
    fn of_baseline(baseline: &Baseline) -> Self {
        Self { text: Text::Sentences(Sentences::of_baseline(baseline).into()), reason: String::new(), edited_version: None }
    }

    fn of_form(form: &FormPairs) -> Self {
        let text = if form.value("shape") == "yaml" {
            // Browsers send line ends of two characters.
            Text::Yaml(form.value("document").replace("\r\n", "\n") + "\n")
        } else {
            Text::Sentences(Sentences::of_form(form).into())
        };
        Self { text, reason: form.value("reason").to_owned(), edited_version: form.value("edited_version").parse().ok() }
    }

    fn document(&self) -> String {
        match &self.text {
            Text::Sentences(sentences) => sentences.document().to_string(),
            Text::Yaml(text) => text.clone(),
        }
    }

    /// What no document can say.
    fn problem(&self) -> Option<String> {
        let Text::Sentences(sentences) = &self.text else { return None };
        let of_rule = |(rule, number): (&Rule, usize)| {
            let is_wrong = rule.date.is_empty() && rule.days.parse::<u16>().is_err();
            is_wrong.then(|| format!("rule {number}: give a number of days from 0 to 360, or a date; `{}` is neither", rule.days))
        };
        sentences.rules.iter().zip(1..).find_map(of_rule)
    }

    /// Does what a button says that changes the form only.
    fn choose(&mut self, choice: &str) {
        let changed = match (&mut self.text, choice.split_once(' ').unwrap_or((choice, ""))) {
            (Text::Sentences(_), ("yaml", _)) => Baseline::parse(&self.document()).ok().map(|baseline| Text::Yaml(baseline.to_yaml())),
            (Text::Yaml(text), ("sentences", _)) => Baseline::parse(text).ok().map(|baseline| Text::Sentences(Sentences::of_baseline(&baseline).into())),
            (Text::Sentences(sentences), (word, at)) => {
                sentences.choose(word, at);
                None
            }
            _ => None,
        };
        if let Some(changed) = changed {
            self.text = changed;
        }
    }
}

/// A condition: the key of a filter, and its values between commas.
type Condition = (String, String);

/// A baseline as somebody filled it in, right or wrong.
#[derive(Default)]
struct Sentences {
    name: String,
    description: String,
    operating_system: String,
    global: Vec<Condition>,
    rules: Vec<Rule>,
    approved: String,
    approved_level: String,
    approved_non_security: bool,
    rejected: String,
    rejected_action: String,
    /// Patch, decision, owner, reason, last day.
    exceptions: Vec<[String; 5]>,
    /// Name, products between commas, configuration.
    sources: Vec<[String; 3]>,
    available_updates: String,
}

#[derive(Default)]
struct Rule {
    every_patch: bool,
    conditions: Vec<Condition>,
    days: String,
    date: String,
    from: String,
    level: String,
}

const EXCEPTION_FIELDS: [&str; 5] = ["patch", "decision", "owner", "reason", "until"];
const SOURCE_FIELDS: [&str; 3] = ["name", "products", "configuration"];

impl Sentences {
    fn of_baseline(baseline: &Baseline) -> Self {
        let rule = |rule: &domain::model::baseline::ApprovalRule| Rule {
            every_patch: rule.enable_non_security,
            conditions: conditions(&rule.filters),
            days: rule.approve_after_days.map(|days| days.to_string()).unwrap_or_default(),
            date: rule.approve_until_date.clone().unwrap_or_default(),
            from: code(&rule.delay_from),
            level: code(&rule.compliance_level),
        };
        let exception = |exception: &domain::model::baseline::Exception| {
            [exception.patch.clone(), code(&exception.decision), exception.owner.clone(), exception.reason.clone(), exception.until.clone()]
        };
        Self {
            name: baseline.name.clone(),
            description: baseline.description.clone(),
            operating_system: baseline.operating_system.code().to_owned(),
            global: conditions(&baseline.global_filters),
            rules: baseline.approval_rules.iter().map(rule).collect(),
            approved: baseline.approved_patches.join("\n"),
            approved_level: code(&baseline.approved_patches_compliance_level),
            approved_non_security: baseline.approved_patches_enable_non_security,
            rejected: baseline.rejected_patches.join("\n"),
            rejected_action: code(&baseline.rejected_patches_action),
            exceptions: baseline.exceptions.iter().map(exception).collect(),
            sources: baseline.sources.iter().map(|source| [source.name.clone(), source.products.join(", "), source.configuration.clone()]).collect(),
            available_updates: code(&baseline.available_security_updates_compliance_status),
        }
    }

    fn of_form(form: &FormPairs) -> Self {
        let text = |name: &str| form.value(name).to_owned();
        let conditions = |place: &str| {
            let nth = |at: usize| (text(&format!("{place}-key-{at}")), text(&format!("{place}-values-{at}")));
            (0..CONDITIONS_MAX).map(nth).filter(|(key, _)| !key.is_empty()).collect::<Vec<_>>()
        };
        let rule = |at: usize| {
            let place = format!("rule-{at}");
            let of_rule = |name: &str| text(&format!("{place}-{name}"));
            Rule {
                every_patch: of_rule("kind") == "every",
                conditions: conditions(&place),
                days: of_rule("days"),
                date: of_rule("date"),
                from: of_rule("from"),
                level: of_rule("level"),
            }
        };
        let exceptions = (0..).map_while(|at| {
            let row = EXCEPTION_FIELDS.map(|field| text(&format!("exception-{at}-{field}")));
            (!row[1].is_empty()).then_some(row)
        });
        let sources = (0..=SOURCES_MAX).map_while(|at| {
            let row = SOURCE_FIELDS.map(|field| text(&format!("source-{at}-{field}")).replace("\r\n", "\n"));
            form.has(&format!("source-{at}-name")).then_some(row)
        });
        Self {
            name: text("name"),
            description: text("description"),
            operating_system: text("operating_system"),
            global: conditions("global"),
            rules: (0..=RULES_MAX).take_while(|at| !form.value(&format!("rule-{at}-kind")).is_empty()).map(rule).collect(),
            approved: text("approved"),
            approved_level: text("approved_level"),
            approved_non_security: form.value("approved_kind") == "every",
            rejected: text("rejected"),
            rejected_action: text("rejected_action"),
            exceptions: exceptions.collect(),
            sources: sources.collect(),
            available_updates: text("available_updates"),
        }
    }

    /// The document. Words that cannot be are in it too, so that whoever reads it says why.
    fn document(&self) -> Value {
        let lines = |text: &str| Value::from(text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>());
        let rule = |rule: &Rule| {
            let mut of_rule = json!({
                "filters": filters(&rule.conditions), "enable_non_security": rule.every_patch, "delay_from": rule.from, "compliance_level": rule.level,
            });
            if rule.date.is_empty() {
                of_rule["approve_after_days"] = rule.days.parse::<u16>().ok().into();
            } else {
                of_rule["approve_until_date"] = rule.date.clone().into();
            }
            of_rule
        };
        let exception = |row: &[String; 5]| Value::from(EXCEPTION_FIELDS.into_iter().map(str::to_owned).zip(row.iter().cloned().map(Value::from)).collect::<Map<_, _>>());
        let source = |[name, products, configuration]: &[String; 3]| {
            let products: Vec<_> = products.split(',').map(str::trim).filter(|product| !product.is_empty()).collect();
            json!({ "name": name, "products": products, "configuration": configuration })
        };
        json!({
            "schema": "baseline/v1",
            "name": self.name,
            "description": self.description,
            "operating_system": self.operating_system,
            "global_filters": filters(&self.global),
            "approval_rules": self.rules.iter().map(rule).collect::<Vec<_>>(),
            "approved_patches": lines(&self.approved),
            "approved_patches_compliance_level": self.approved_level,
            "approved_patches_enable_non_security": self.approved_non_security,
            "rejected_patches": lines(&self.rejected),
            "rejected_patches_action": self.rejected_action,
            "exceptions": self.exceptions.iter().filter(|row| !row[0].is_empty()).map(exception).collect::<Vec<_>>(),
            "sources": self.sources.iter().filter(|[name, ..]| !name.is_empty()).map(source).collect::<Vec<_>>(),
            "available_security_updates_compliance_status": self.available_updates,
        })
    }

    fn choose(&mut self, word: &str, at: &str) {
        let condition = || (PatchFilters::default().named().next().map(|(key, _)| key.to_owned()).unwrap_or_default(), String::new());
        match (word, at.parse::<usize>()) {
            ("add-rule", _) if self.rules.len() < RULES_MAX => self.rules.push(Rule { days: "7".to_owned(), ..Rule::default() }),
            ("remove-rule", Ok(at)) if at < self.rules.len() => drop(self.rules.remove(at)),
            ("add-condition", Ok(at)) if at < self.rules.len() => self.rules[at].conditions.push(condition()),
            ("add-condition", Err(_)) => self.global.push(condition()),
            ("add-source", _) => self.sources.push(["", "*", ""].map(str::to_owned)),
            ("add-exception", _) => self.exceptions.push(["", "REJECT", "", "", ""].map(str::to_owned)),
            _ => {}
        }
    }
}

/// The spelling of the wire.
fn code(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn conditions(filters: &PatchFilters) -> Vec<Condition> {
    filters.named().filter(|(_, values)| !values.is_empty()).map(|(key, values)| (key.to_owned(), values.join(", "))).collect()
}

/// Conditions without values say nothing.
fn filters(conditions: &[Condition]) -> Value {
    let mut filters = Map::new();
    for (key, values) in conditions {
        let values = values.split(',').map(str::trim).filter(|value| !value.is_empty()).map(Value::from);
        let of_key = filters.entry(key.clone()).or_insert_with(|| Value::from(Vec::<Value>::new()));
        of_key.as_array_mut().into_iter().for_each(|known| known.extend(values.clone()));
    }
    filters.retain(|_, values| values.as_array().is_some_and(|values| !values.is_empty()));
    filters.into()
}

/// The editor beside what the draft means and what it would change.
fn page(app: &App, session: &BrowserSession, edited: Option<&NamedBaseline>, draft: &Draft) -> Html<String> {
    let title = edited.map_or_else(|| "New baseline".to_owned(), |named| format!("Edit {}", named.baseline.name));
    let action = edited.map_or_else(|| "/baselines/new".to_owned(), |named| format!("/baselines/{}/edit", named.id));
    let request = PreviewBaseline { document: draft.document(), baseline: edited.map(|named| named.id.to_string()) };
    let possible = draft.problem().map_or(Ok(()), |problem| Err(ActionError::invalid("document", problem)));
    let looked_at = possible
        .and_then(|()| baselines::preview(app, &session.caller, &request))
        .and_then(|preview| Ok((Baseline::parse(&request.document).map_err(|error| ActionError::invalid("document", error.to_string()))?, preview)));
    let body = html! {
        div { div.crumbs { a href="/baselines" { "Baselines" } } h1 { (title) } }
        div.columns.editor {
            form.card method="post" action=(action) data-live="effects" {
                (layout::form_token(session))
                @if let Some(version) = draft.edited_version { input type="hidden" name="edited_version" value=(version); }
                // The first button is the one that Enter presses.
                button.hidden name="choice" value="preview" tabindex="-1" { "Look at it" }
                @match &draft.text { Text::Sentences(sentences) => { (sentences_form(sentences)) }, Text::Yaml(text) => { (yaml_form(text)) } }
                label { "Why it is changed" input name="reason" maxlength="1000" value=(draft.reason); }
                div.actions { button name="choice" value="preview" { "Look at it" } button.primary name="choice" value="save" { "Save" } }
            }
            div #effects aria-live="polite" {
                @match looked_at {
                    Ok((baseline, preview)) => {
                        section.card { h2 { "In words" } ul.plain { @for sentence in select::explain(&baseline) { li { (sentence) } } } }
                        @if let Some(named) = edited { section.card { h2 { "What is changed in it" } @if named.baseline == baseline { p.quiet { "Nothing yet." } } @else { (difference(Some(&named.baseline), Some(&baseline))) } } }
                        (effects(&preview))
                    }
                    Err(error) => {
                        @let error = ApiError::from(error);
                        section.notice.bad role="alert" { h2 { "It cannot be saved like this" } p { (error.problem().message) } @if let Some(hint) = &error.problem().hint { p { (hint) } } }
                    }
                }
            }
        }
    };
    layout::page(&title, Section::Baselines, session, &body)
}

fn yaml_form(text: &str) -> Markup {
    html! {
        input type="hidden" name="shape" value="yaml";
        label { "The baseline, as YAML" textarea name="document" rows="26" spellcheck="false" required { (text) } }
        div { button.link name="choice" value="sentences" { "Edit it in sentences" } }
    }
}

const LEVELS: [(&str, &str); 6] =
    [("UNSPECIFIED", "nothing special"), ("INFORMATIONAL", "informational"), ("LOW", "low"), ("MEDIUM", "medium"), ("HIGH", "high"), ("CRITICAL", "critical")];
const DELAYS: [(&str, &str); 3] =
    [("LATER", "its release or first sighting, whichever is later"), ("RELEASE", "its release by the vendor"), ("FIRST_SEEN", "its first sighting by a node")];

fn sentences_form(baseline: &Sentences) -> Markup {
    let systems = OperatingSystem::ALL.map(|system| (system.code(), system.name()));
    html! {
        div.sentence {
            "The baseline " input name="name" required minlength="3" maxlength="128" value=(baseline.name) aria-label="Name";
            " is for nodes that run " (gap("operating_system", "Operating system", &systems, &baseline.operating_system)) "."
        }
        label { "What it is for" input name="description" maxlength="1024" value=(baseline.description); }
        @if !baseline.global.is_empty() { div.sentence { "It looks only at patches" (condition_gaps("global", &baseline.global)) } }
        @for (at, rule) in baseline.rules.iter().enumerate() { (rule_form(at, rule)) }
        @if baseline.rules.is_empty() { p.quiet { "No rule approves anything." } }
        div.actions {
            button name="choice" value="add-rule" { "Add a rule" }
            @if baseline.global.is_empty() { button.link name="choice" value="add-condition global" { "Look only at some patches" } }
        }
        fieldset {
            legend { "Always approved" }
            label { "Packages, advisories or CVEs, one a line; * ? [ ] allowed" textarea name="approved" rows="3" spellcheck="false" { (baseline.approved) } }
            @if !baseline.approved.is_empty() { div.sentence {
                "Of these, " (gap("approved_kind", "Which of them", &[("security", "security patches"), ("every", "every patch")], if baseline.approved_non_security { "every" } else { "security" }))
                " is approved; one that is missing counts as " (gap("approved_level", "Compliance level", &LEVELS, &baseline.approved_level)) "."
            } } @else { input type="hidden" name="approved_level" value=(baseline.approved_level); input type="hidden" name="approved_kind" value=(if baseline.approved_non_security { "every" } else { "security" }); }
        }
        fieldset {
            legend { "Never approved" }
            label { "Packages, advisories or CVEs, one a line; this comes before everything else but exceptions" textarea name="rejected" rows="3" spellcheck="false" { (baseline.rejected) } }
            div.sentence { "Such a package " (gap("rejected_action", "What rejection means", &[("ALLOW_AS_DEPENDENCY", "may come in as a dependency"), ("BLOCK", "never comes in, and is wrong where it is installed")], &baseline.rejected_action)) "." }
        }
        @if !baseline.exceptions.is_empty() { fieldset {
            legend { "For a while" }
            @for (at, [patch, decision, owner, reason, until]) in baseline.exceptions.iter().enumerate() {
                @let name = |field: &str| format!("exception-{at}-{field}");
                div.sentence {
                    input name=(name("patch")) value=(patch) maxlength="200" aria-label="Patch"; " is "
                    (gap(&name("decision"), "Decision", &[("REJECT", "rejected"), ("APPROVE", "approved")], decision)) " until "
                    input type="date" name=(name("until")) value=(until) aria-label="Last day"; ", by "
                    input name=(name("owner")) value=(owner) maxlength="200" aria-label="Owner"; ": "
                    input name=(name("reason")) value=(reason) maxlength="200" aria-label="Reason";
                }
            }
            p.quiet { "One without a patch is left out." }
        } }
        @if !baseline.sources.is_empty() { fieldset {
            legend { "Own repositories" }
            p.quiet { "While a node is scanned and patched, these take the place of its own." }
            @for (at, [source, products, configuration]) in baseline.sources.iter().enumerate() {
                @let name = |field: &str| format!("source-{at}-{field}");
                div.sentence {
                    input name=(name("name")) value=(source) maxlength="50" aria-label="Name"; " for nodes with the product "
                    input name=(name("products")) value=(products) placeholder="Debian12, or * for every one" aria-label="Products";
                }
                label { "As its file says: a line of sources.list, or the text of a .repo file" textarea name=(name("configuration")) rows="3" spellcheck="false" maxlength="1024" { (configuration) } }
            }
            p.quiet { "One without a name is left out." }
        } }
        div.sentence {
            "While a security update exists that is not approved yet, a node " (gap("available_updates", "Available security updates", &[("COMPLIANT", "may be compliant"), ("NON_COMPLIANT", "is not compliant")], &baseline.available_updates)) "."
        }
        div.actions { button name="choice" value="add-exception" { "Add an exception" } button name="choice" value="add-source" { "Add a repository" } button.link name="choice" value="yaml" { "Edit it as YAML" } }
    }
}

fn rule_form(at: usize, rule: &Rule) -> Markup {
    let name = |field: &str| format!("rule-{at}-{field}");
    html! { fieldset {
        legend { "Rule " (at + 1) }
        div.sentence {
            "Approves " (gap(&name("kind"), "Which patches", &[("security", "every security patch"), ("every", "every patch")], if rule.every_patch { "every" } else { "security" }))
            (condition_gaps(&format!("rule-{at}"), &rule.conditions))
            " " input.days type="number" name=(name("days")) min="0" max="360" value=(rule.days) aria-label="Days"; " days after "
            (gap(&name("from"), "Since when days count", &DELAYS, &rule.from))
            ", or what came out by " input type="date" name=(name("date")) value=(rule.date) aria-label="Cut-off date";
            ". One that is missing counts as " (gap(&name("level"), "Compliance level", &LEVELS, &rule.level)) "."
        }
        @if !rule.days.is_empty() && !rule.date.is_empty() { p.quiet { "The date counts, not the days." } }
        div.actions { button.link name="choice" value={ "add-condition " (at) } { "Add a condition" } button.link name="choice" value={ "remove-rule " (at) } { "Remove this rule" } }
    } }
}

fn condition_gaps(place: &str, conditions: &[Condition]) -> Markup {
    let default = PatchFilters::default();
    let keys: Vec<_> = default.named().map(|(key, _)| (key, key)).collect();
    html! { @for (at, (key, values)) in conditions.iter().enumerate() {
        (if at == 0 { " whose " } else { " and whose " })
        (gap(&format!("{place}-key-{at}"), "Condition", &keys, key)) " is "
        input name=(format!("{place}-values-{at}")) value=(values) placeholder="one of, with commas" aria-label="Values";
    } }
}

/// A gap in a sentence with a few words to choose from.
fn gap(name: &str, label: &str, choices: &[(&str, &str)], chosen: &str) -> Markup {
    html! { select name=(name) aria-label=(label) { @for (value, words) in choices { (choice(value, words, chosen)) } } }
}

fn effects(preview: &BaselinePreview) -> Markup {
    html! {
        section.card {
            h2 { "What it would change" }
            @for warning in &preview.warnings { p { (parts::badge("doubt", "!", "note")) " " (warning) } }
            @if preview.judges.is_empty() { p { "It judges nobody, so nothing changes." } } @else {
                p.quiet { "It would judge " (preview.judges.join("; ")) ": " (parts::number_of(preview.n_nodes, "node", "nodes")) "." }
                p {
                    (parts::badge(if preview.n_newly_non_compliant > 0 { "bad" } else { "" }, "✕", &parts::number_of(preview.n_newly_non_compliant, "node becomes non-compliant", "nodes become non-compliant"))) " "
                    (parts::badge(if preview.n_newly_compliant > 0 { "good" } else { "" }, "✓", &parts::number_of(preview.n_newly_compliant, "node has nothing missing any more", "nodes have nothing missing any more")))
                }
            }
            @if !preview.nodes.is_empty() {
                ul.plain { @for node in preview.nodes.iter().take(10) { li { a href={ "/nodes/" (node.id) } { (node.name) } ": " (node.n_missing) " missing today, " (node.n_missing_then) " then" } } }
            }
        }
        @if !preview.patches.is_empty() {
            section.card.flush {
                div.scroll { table.cards {
                    caption { (parts::number_of(preview.n_patches, "patch", "patches")) " in another state" }
                    thead { tr { th { "Patch" } th { "Today" } th { "Then" } th.number { "Nodes" } } }
                    tbody { @for patch in preview.patches.iter().take(100) { tr {
                        td { (patch.name) span.quiet { ":" (patch.architecture) " " (patch.version) } }
                        td data-label="Today" { (state_words(&patch.before)) }
                        td data-label="Then" { (state_words(&patch.after)) @if let Some(until) = &patch.changes_at { div.quiet { "until " (until) } } }
                        td.number data-label="Nodes" { (patch.n_nodes) }
                    } } }
                } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::model::baseline;

    use super::*;

    const EVERYTHING: &str = "
schema: baseline/v1
name: everything
description: some of each
operating_system: DEBIAN
global_filters: {product: [Debian12]}
approval_rules:
- filters: {severity: [Critical, Important], section: [libs]}
  approve_after_days: 7
  delay_from: RELEASE
  compliance_level: HIGH
- approve_until_date: 2026-01-31
  enable_non_security: true
approved_patches: [curl, 'libc*']
approved_patches_compliance_level: CRITICAL
approved_patches_enable_non_security: true
rejected_patches: [openssl]
rejected_patches_action: BLOCK
exceptions:
- {patch: vim, decision: REJECT, owner: ada, reason: it hangs, until: 2026-12-31}
sources:
- {name: ours, products: [Debian12, Debian13], configuration: deb https://deb.example/ours bookworm main}
available_security_updates_compliance_status: NON_COMPLIANT
";

    #[test]
    fn sentences_say_all_that_a_baseline_says() {
        let all = baseline::predefined().into_iter().map(|named| named.baseline).chain([Baseline::parse(EVERYTHING).unwrap()]);
        for baseline in all {
            let document = Sentences::of_baseline(&baseline).document().to_string();
            assert_eq!(Baseline::parse(&document).unwrap(), baseline, "{document}");
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        let mut draft = Draft::of_baseline(&Baseline::parse(EVERYTHING).unwrap());
        let Text::Sentences(sentences) = &mut draft.text else { panic!("an edit begins in sentences") };
        sentences.rules[0].days = "soon".to_owned();
        sentences.rules[1].conditions.push(("colour".to_owned(), "red".to_owned()));
        let error = Baseline::parse(&sentences.document().to_string()).unwrap_err().to_string();
        assert!(error.contains("colour"), "{error}");
        assert_eq!(draft.problem().unwrap(), "rule 1: give a number of days from 0 to 360, or a date; `soon` is neither");
    }
}
