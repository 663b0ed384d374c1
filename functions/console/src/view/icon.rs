//! Icons, drawn for the console: lines of one width on a grid of 20.

use maud::{Markup, PreEscaped, html};

/// An icon. It stands beside a word or has one that is not seen, so it is never read out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Icon {
    Overview,
    Key,
    Webhook,
    Event,
    Dead,
    Audit,
    Campaign,
    Lead,
    Meeting,
    People,
    Workspace,
    Settings,
    Find,
    Clock,
    Down,
    Right,
    Tick,
    Cross,
    Warning,
    Lock,
    Copy,
    Plus,
    Download,
    Shield,
    Code,
    Live,
}

impl Icon {
    fn path(self) -> &'static str {
        match self {
            Self::Overview => "M3 17V9m5 8V4m5 13v-6m4 6V7",
            Self::Key => "M12.5 10.5a4 4 0 1 0-3 0L9 11v2H7v2H5v2H3v-2.5l6.3-6.3M13.5 6.5h.01",
            Self::Webhook => {
                "M7 8a3.5 3.5 0 1 1 5.6-1l2.2 4M5.6 11a3.5 3.5 0 1 0 3 5H13m-3-8.5-2.4 4M13.5 13a3.5 3.5 0 1 1 .6 4.6"
            }
            Self::Event => "M11 2 4 11h5l-1 7 7-9h-5l1-7Z",
            Self::Dead => "M3 5h14v10H3zM3 6l7 5 7-5M7.5 18h5",
            Self::Audit => "M5 2h8l3 3v13H5zM8 8h5M8 11h5M8 14h3",
            Self::Campaign => "M3 8v4h3l8 4V4L6 8H3Zm14-1v6M6.5 12l1.5 5",
            Self::Lead => "M10 9a3 3 0 1 0 0-6 3 3 0 0 0 0 6Zm-6 8c0-3.3 2.7-5 6-5s6 1.7 6 5",
            Self::Meeting => "M3 5h14v12H3zM3 9h14M7 3v4m6-4v4",
            Self::People => {
                "M7 9a3 3 0 1 0 0-6 3 3 0 0 0 0 6Zm-5 8c0-3 2-5 5-5s5 2 5 5M13 3.5a3 3 0 0 1 0 5.2M15 12.5c2 .6 3 2.3 3 4.5"
            }
            Self::Workspace => "M3 3h6v6H3zM11 3h6v6h-6zM3 11h6v6H3zM11 11h6v6h-6z",
            Self::Settings => "M3 6h7m4 0h3M3 14h3m4 0h7M12 4v4M8 12v4",
            Self::Find => "M9 15A6 6 0 1 0 9 3a6 6 0 0 0 0 12Zm4.5-1.5L17 17",
            Self::Clock => "M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14Zm0-11v4l3 2",
            Self::Down => "m5 8 5 5 5-5",
            Self::Right => "m8 5 5 5-5 5",
            Self::Tick => "m4 10.5 4 4 8-9",
            Self::Cross => "m5 5 10 10M15 5 5 15",
            Self::Warning => "M10 3 2 17h16L10 3Zm0 5v4m0 2.5v.01",
            Self::Lock => "M5 9h10v8H5zM7 9V6a3 3 0 0 1 6 0v3",
            Self::Copy => "M7 7h10v10H7zM13 7V3H3v10h4",
            Self::Plus => "M10 4v12M4 10h12",
            Self::Download => "M10 3v10m-4-4 4 4 4-4M3 17h14",
            Self::Shield => "M10 2 4 4.5V10c0 4 2.6 6.7 6 8 3.4-1.3 6-4 6-8V4.5L10 2Zm-2.5 8 2 2 3.5-4",
            Self::Code => "m7 6-4 4 4 4m6-8 4 4-4 4M11.5 4l-3 12",
            Self::Live => {
                "M10 11a1 1 0 1 0 0-2 1 1 0 0 0 0 2ZM6.5 13.5a5 5 0 0 1 0-7m7 0a5 5 0 0 1 0 7M4 16a8.5 8.5 0 0 1 0-12m12 0a8.5 8.5 0 0 1 0 12"
            }
        }
    }
}

/// An icon as it stands in a page.
pub(crate) fn icon(icon: Icon) -> Markup {
    html! {
        svg class="icon" viewBox="0 0 20 20" width="20" height="20" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false" {
            (PreEscaped(format!("<path d=\"{}\"/>", icon.path())))
        }
    }
}
