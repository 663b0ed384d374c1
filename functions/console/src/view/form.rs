//! Fields of forms: each with a label, what to know about it, and what was wrong with it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use maud::{Markup, html};

use super::icon::{Icon, icon};
use crate::api::{Failure, Fault};
use crate::visit::{FIELD, Visit};

/// The field that names a submission.
pub(crate) const ONCE: &str = "_once";

/// The token that shows that a form is ours.
pub(crate) fn token(visit: &Visit) -> Markup {
    html! { input type="hidden" name=(FIELD) value=(visit.form_token); }
}

/// The token, and a name for the submission, so that a form sent twice is carried out once. Every form that makes something
/// begins so.
pub(crate) fn once(visit: &Visit) -> Markup {
    // Without randomness the form is sent without a name, and carried out as often as it is sent.
    let name = sealing::random::<16>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).unwrap_or_default();
    html! { (token(visit)) @if !name.is_empty() { input type="hidden" name=(ONCE) value=(name); } }
}

/// A field that is not seen.
pub(crate) fn hidden(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}

/// What is wrong with a form that was sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    status: StatusCode,
    fields: Vec<Fault>,
    general: Option<Fault>,
}

impl Faults {
    /// What the API finds wrong with what was entered. Failures that no other entry would mend are given back: they are a
    /// page of their own.
    pub(crate) fn of(failure: Failure) -> Result<Self, Failure> {
        let mendable = |status: u16| matches!(status, 400 | 403 | 409 | 410 | 412 | 422 | 429);
        match failure.problem() {
            // A wrong code or password is no session that is over.
            Some(problem)
                if mendable(problem.status) || (problem.status == 401 && !failure.is_signed_out()) =>
            {
                let mut message = problem.detail.clone();
                if let Some(permission) = problem.permission.as_ref().filter(|it| !message.contains(*it)) {
                    message = format!("{message} The permission it takes is {permission}.");
                }
                if let Some(wait) = problem.retry_after {
                    message = format!(
                        "{message} The next try is heard in {}.",
                        super::when::span(std::time::Duration::from_secs(wait))
                    );
                }
                for excess in &problem.excess {
                    message = format!(
                        "{message} {}: {} in use, {} allowed.",
                        excess.resource.replace('_', " "),
                        excess.used,
                        excess.limit
                    );
                }
                if problem.status == 412 {
                    "Somebody else has changed this meanwhile, so nothing was done. What is below may be what you entered \
                     and not what there is: open the page anew before you go on. What is sent from here replaces it."
                        .clone_into(&mut message);
                }
                let fields = problem.errors.clone();
                let general = Fault { pointer: String::new(), code: problem.code.clone(), message };
                let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
                Ok(Self { status, fields, general: Some(general) })
            }
            _ => Err(failure),
        }
    }

    /// What a list has, or what is wrong with what it was narrowed to: that is said at its field, and the rest of the page is
    /// there all the same.
    pub(crate) fn instead_of<T: Default>(asked: Result<T, Failure>) -> Result<(T, Self), Failure> {
        match asked {
            Ok(found) => Ok((found, Self::default())),
            Err(failure) if failure.problem().is_some_and(|problem| problem.status == 422) => {
                Ok((T::default(), Self::of(failure)?))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.general.is_none()
    }

    /// The status of a page with its form: the API's, so that a refusal is one for programs too.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Something that the console itself finds wrong with a field.
    pub(crate) fn at(pointer: &str, message: &str) -> Self {
        let fault = Fault { pointer: pointer.to_owned(), code: String::new(), message: message.to_owned() };
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, fields: vec![fault], general: None }
    }

    /// What is wrong with the field at this JSON pointer, or within it.
    pub(crate) fn of_field(&self, pointer: &str) -> Option<&str> {
        let within = |own: &str| {
            own.strip_prefix(pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.fields.iter().find(|fault| within(&fault.pointer)).map(|fault| fault.message.as_str())
    }

    /// Everything at once, to stand above the form. `shown` are the pointers of fields that say it themselves.
    pub(crate) fn summary(&self, shown: &[&str]) -> Markup {
        let is_shown = |fault: &&Fault| {
            shown.iter().any(|pointer| {
                fault
                    .pointer
                    .strip_prefix(pointer)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        let elsewhere: Vec<&Fault> = self.fields.iter().filter(|fault| !is_shown(fault)).collect();
        html! {
            @if self.general.is_some() || !self.fields.is_empty() {
                div class="banner bad" role="alert" {
                    (icon(Icon::Warning))
                    div {
                        @match &self.general {
                            Some(general) => p { (general.message) },
                            None => p { "Please look at what is marked below." },
                        }
                        @if !elsewhere.is_empty() {
                            ul { @for fault in elsewhere { li { code { (fault.pointer) } " " (fault.message) } } }
                        }
                    }
                }
            }
        }
    }
}

/// A field's name, label and what stands in it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Field<'a> {
    /// Its name in the form.
    pub(crate) name: &'a str,
    /// What it is called.
    pub(crate) label: &'a str,
    /// What to know about it.
    pub(crate) hint: &'a str,
    /// What stands in it.
    pub(crate) value: &'a str,
    /// What is wrong with it.
    pub(crate) fault: Option<&'a str>,
    /// Whether it may be left empty.
    pub(crate) optional: bool,
    /// What browsers may fill in, by the names of HTML's `autocomplete`.
    pub(crate) autocomplete: &'a str,
}

impl<'a> Field<'a> {
    pub(crate) fn new(name: &'a str, label: &'a str) -> Self {
        Self { name, label, autocomplete: "off", ..Self::default() }
    }

    pub(crate) fn hint(self, hint: &'a str) -> Self {
        Self { hint, ..self }
    }

    pub(crate) fn value(self, value: &'a str) -> Self {
        Self { value, ..self }
    }

    pub(crate) fn fault(self, fault: Option<&'a str>) -> Self {
        Self { fault, ..self }
    }

    pub(crate) fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    pub(crate) fn autocomplete(self, autocomplete: &'a str) -> Self {
        Self { autocomplete, ..self }
    }

    fn described_by(&self) -> Option<String> {
        let hint = (!self.hint.is_empty()).then(|| format!("{}-hint", self.name));
        let fault = self.fault.map(|_| format!("{}-fault", self.name));
        let ids: Vec<String> = fault.into_iter().chain(hint).collect();
        (!ids.is_empty()).then(|| ids.join(" "))
    }

    /// The label and what belongs to it, around the control.
    fn around(&self, control: Markup) -> Markup {
        html! {
            div class="field" data-faulty[self.fault.is_some()] {
                label for=(self.name) { (self.label) @if self.optional { span class="optional" { " optional" } } }
                (control)
                @if let Some(fault) = self.fault { p class="fault" id={ (self.name) "-fault" } { (icon(Icon::Warning)) (fault) } }
                @if !self.hint.is_empty() { p class="hint" id={ (self.name) "-hint" } { (self.hint) } }
            }
        }
    }

    fn input(&self, kind: &str) -> Markup {
        self.around(html! {
            input type=(kind) id=(self.name) name=(self.name) value=(self.value) autocomplete=(self.autocomplete)
                aria-describedby=[self.described_by()] aria-invalid=[self.fault.map(|_| "true")] required[!self.optional];
        })
    }
}

/// A line of text. `kind` is the type of HTML's input: `text`, `email`, `url`, `datetime-local`…
pub(crate) fn text(kind: &str, field: Field<'_>) -> Markup {
    field.input(kind)
}

/// An instant, in UTC: browsers send it without a zone, to the second.
pub(crate) fn instant(field: Field<'_>) -> Markup {
    field.around(html! {
        input type="datetime-local" step="1" id=(field.name) name=(field.name) value=(field.value)
            aria-describedby=[field.described_by()] aria-invalid=[field.fault.map(|_| "true")] required[!field.optional];
    })
}

/// A password, which is never written into the page.
pub(crate) fn password(field: Field<'_>) -> Markup {
    Field { value: "", ..field }.input("password")
}

/// A whole number.
pub(crate) fn number(field: Field<'_>, (least, most): (u64, u64)) -> Markup {
    field.around(html! {
        input type="number" id=(field.name) name=(field.name) value=(field.value) min=(least) max=(most) step="1" inputmode="numeric"
            aria-describedby=[field.described_by()] aria-invalid=[field.fault.map(|_| "true")] required[!field.optional];
    })
}

/// Several lines of text.
pub(crate) fn textarea(field: Field<'_>, rows: u8) -> Markup {
    field.around(html! {
        textarea id=(field.name) name=(field.name) rows=(rows) spellcheck="false"
            aria-describedby=[field.described_by()] aria-invalid=[field.fault.map(|_| "true")] required[!field.optional] { (field.value) }
    })
}

/// One of several, by value and name.
pub(crate) fn choice<'a>(field: Field<'_>, options: impl IntoIterator<Item = (&'a str, &'a str)>) -> Markup {
    field.around(html! {
        select id=(field.name) name=(field.name) aria-describedby=[field.described_by()] aria-invalid=[field.fault.map(|_| "true")] {
            @for (value, name) in options { option value=(value) selected[value == field.value] { (name) } }
        }
    })
}

/// A box to tick. Several of one name differ in their value.
pub(crate) fn check(name: &str, value: &str, label: Markup, ticked: bool, disabled: bool) -> Markup {
    html! {
        label class="check" {
            input type="checkbox" name=(name) value=(value) checked[ticked] disabled[disabled];
            span { (label) }
        }
    }
}
