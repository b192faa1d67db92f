//! A plan and a receipt, as cards.

use domain::model::plan::{Extra, Plan, RebootRule, ServiceRule, Terms};
use domain::model::receipt::{Effect, PackageState, Receipt, names};
use domain::model::transaction::Action;
use maud::{Markup, html};

use crate::ui::parts;

/// What would happen.
pub fn plan(plan: &Plan) -> Markup {
    let left_out: Vec<_> = plan.transaction.left_out(&plan.changes).map(ToString::to_string).collect();
    html! {
        div.scroll { table.cards {
            caption { "What the package manager would do" }
            thead { tr { th { "Package" } th { "Action" } th { "From" } th { "To" } th { "Asked for" } } }
            tbody { @for step in &plan.transaction.steps {
                @let is_asked = plan.changes.iter().any(|change| step.is(change));
                tr {
                    td { (step.name) @if let Some(architecture) = &step.architecture { span.quiet { ":" (architecture) } } }
                    td data-label="Action" { @if step.action == Action::Remove { (parts::badge("bad", "−", step.action.word())) } @else { (step.action.word()) } }
                    td.version data-label="From" { (step.from.as_deref().unwrap_or("–")) }
                    td.version data-label="To" { (step.to.as_deref().unwrap_or("–")) }
                    td data-label="Asked for" { @if is_asked { "yes" } @else { "no, it comes with the others" } }
                }
            } }
        } }
        @if plan.transaction.steps.is_empty() { p { "It would change nothing." } }
        @if !left_out.is_empty() { p { "It would leave out: " (left_out.join(", ")) } }
        @for remark in &plan.transaction.remarks { p.quiet { (remark) } }
        dl.facts {
            @if let Some(kib) = plan.foreseen.download_kib { dt { "To download" } dd { (size(kib)) } }
            dt { "Services that run what is replaced" } dd { (list(&plan.foreseen.services, "none")) }
            dt { "In effect only after a boot" } dd { (list(&plan.foreseen.reboot, "nothing")) }
            dt { "Terms" } dd { (terms(&plan.terms)) }
        }
    }
}

fn list(names: &[String], nothing: &str) -> String {
    if names.is_empty() { nothing.to_owned() } else { names.join(", ") }
}

fn size(kib: u64) -> String {
    if kib < 10 * 1024 { format!("{kib} KiB") } else { format!("{} MiB", kib.div_ceil(1024)) }
}

/// The terms in a sentence.
fn terms(terms: &Terms) -> String {
    let extra = match terms.extra {
        Extra::None => "nothing else may happen",
        Extra::Dependencies => "what is needed may come, nothing may go",
        Extra::AsPlanned => "all of the above may happen",
    };
    let reboot = match terms.reboot {
        RebootRule::Never => "the node does not boot".to_owned(),
        RebootRule::IfNeeded => "the node boots when something needs it".to_owned(),
        RebootRule::Always => "the node boots".to_owned(),
        RebootRule::At(at) => format!("the node boots at {at} when something needs it"),
    };
    let services = if terms.services == ServiceRule::Restart { "services are restarted" } else { "services are left as they are" };
    let hooks: Vec<_> = terms.hooks.names().collect();
    let hooks = if hooks.is_empty() { String::new() } else { format!("; hooks: {}", hooks.join(", ")) };
    let not_before = terms.not_before.map(|at| format!("; nothing changes before {at}")).unwrap_or_default();
    let ends_by = terms.ends_by.map(|at| format!("; nothing is begun that would not end by {at}")).unwrap_or_default();
    format!("{extra}; {reboot}; {services}{hooks}{not_before}{ends_by}")
}

/// What happened, and what was proved.
pub fn receipt(receipt: &Receipt) -> Markup {
    html! {
        @if let Some(mend) = receipt.outcome.mend() { p { "What to do: " (mend) "." } }
        (effect(receipt))
        div.scroll { table.cards {
            caption { "What was asked for" }
            thead { tr { th { "Package" } th { "Before" } th { "Now" } th { "State" } } }
            tbody { @for package in &receipt.packages { tr {
                td { (package.change.name) span.quiet { ":" (package.change.architecture) " " (package.change.version) } }
                td.version data-label="Before" { (package.before.as_deref().unwrap_or("–")) }
                td.version data-label="Now" { (package.after.as_deref().unwrap_or("–")) }
                td data-label="State" { (match package.state {
                    PackageState::Installed => parts::badge("good", "✓", "installed"),
                    PackageState::Broken => parts::badge("bad", "✕", "only partly installed"),
                    PackageState::NotInstalled => parts::badge("doubt", "–", "not installed"),
                }) }
            } } }
        } }
        @if !receipt.done.steps.is_empty() {
            details { summary { "What really happened, by the package database" } ul.plain { @for step in &receipt.done.steps { li { (step.action.word()) " " (step.name) " " span.quiet { (step.from.as_deref().unwrap_or("")) " → " (step.to.as_deref().unwrap_or("")) } } } } }
        }
        @if !receipt.services.is_empty() {
            details { summary { "Services that ran replaced code" } ul.plain { @for restart in &receipt.services { li { (restart.service) ": " (restart.failure.as_deref().unwrap_or("restarted")) } } } }
        }
        @if !receipt.config_files.is_empty() { p { "New versions of files that were changed here lie beside them: " (receipt.config_files.join(", ")) } }
        @for hook in &receipt.hooks {
            details { summary { "Hook " (hook.hook) ", " (hook.step.words()) ": " (hook.words()) } pre { (hook.output) } }
        }
        details { summary { "Steps" } ol.plain { @for step in &receipt.steps { li {
            (step.step.words()) ": "
            @if let Some(why) = &step.skipped { span.quiet { "left out, " (why) } } @else { (seconds(step.took_ms)) @if step.n_attempts > 1 { ", begun " (step.n_attempts) " times" } }
        } } } }
        @if !receipt.log.is_empty() { details { summary { "The package manager's own words" } pre { (receipt.log) } } }
    }
}

fn seconds(millis: i64) -> String {
    format!("{}.{} s", millis / 1000, millis % 1000 / 100)
}

fn effect(receipt: &Receipt) -> Markup {
    html! {
        @match &receipt.effect {
            Effect::InEffect => p { (parts::badge("good", "✓", "in effect")) " The packages are there, no process runs what was replaced, nothing waits for a boot." },
            Effect::NotInEffect { reasons } => {
                p { (parts::badge("doubt", "↻", "not in effect")) }
                ul.plain { @for reason in reasons { li { (reason) } } }
            }
            Effect::Unknown => {}
        }
    }
}

/// Whether and how it can be taken back.
pub fn way_back(receipt: &Receipt, form: &Markup) -> Markup {
    let back = &receipt.way_back;
    html! {
        @if back.is_whole() && !receipt.done.steps.is_empty() {
            details { summary { "Take it back" }
                @if !back.kept.is_empty() { p { "Comes again: " (names(&back.kept)) "." } }
                @if !back.new.is_empty() { p { "Goes: " (names(&back.new)) "." } }
                p { "The versions that were installed are then held back from this node until someone revokes that exception." }
                (form)
            }
        } @else if let Some(words) = back.words() {
            p.quiet { (words) "." }
        }
    }
}
