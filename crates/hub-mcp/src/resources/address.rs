//! What the hub's resource URIs mean.

use std::fmt;

use hub_core::ids::{ArtifactId, JobId};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::updates::Update;

/// Start of all of the hub's URIs but the view's.
const SCHEME: &str = "genimage://";
/// The view for clients that show pages of servers.
pub(crate) const VIEW_URI: &str = "ui://genimage/view.html";
/// What a name may not hold inside a path.
const UNSAFE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    /// The newest pictures, as a list.
    Images,
    /// A stored file, its bytes.
    Image(ArtifactId),
    /// A small version of a stored picture.
    Preview(ArtifactId),
    /// A job as it is now.
    Job(JobId),
    /// How a job was or will be made.
    Recipe(JobId),
    /// All styles that callers may use.
    Styles,
    /// One style.
    Style(String),
    /// All render types that callers see.
    RenderTypes,
    /// One render type.
    RenderType(String),
    /// The page that shows results.
    View,
}

impl Address {
    /// What the URI means; `None` when it is none of ours.
    pub(crate) fn parse(uri: &str) -> Option<Self> {
        if uri == VIEW_URI {
            return Some(Self::View);
        }
        let path = uri.strip_prefix(SCHEME)?;
        let Some((noun, rest)) = path.split_once('/') else {
            return match path {
                "images" => Some(Self::Images),
                "styles" => Some(Self::Styles),
                "render-types" => Some(Self::RenderTypes),
                _ => None,
            };
        };
        let name = || {
            let name = percent_decode_str(rest).decode_utf8().ok()?;
            (!name.is_empty() && !rest.contains('/')).then(|| name.into_owned())
        };
        match noun {
            "images" => rest.parse().ok().map(Self::Image),
            "previews" => rest.parse().ok().map(Self::Preview),
            "jobs" => rest.parse().ok().map(Self::Job),
            "recipes" => rest.parse().ok().map(Self::Recipe),
            "styles" => name().map(Self::Style),
            "render-types" => name().map(Self::RenderType),
            _ => None,
        }
    }

    /// Whether the resource may read differently after this.
    pub(crate) fn is_touched_by(&self, update: &Update) -> bool {
        match (self, update) {
            (Self::Styles | Self::Style(_) | Self::RenderTypes | Self::RenderType(_), Update::Catalogue)
            | (Self::Images, Update::Images) => true,
            (Self::Job(followed) | Self::Recipe(followed), Update::Job(job)) => followed == job,
            _ => false,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let safe = |name| utf8_percent_encode(name, UNSAFE);
        match self {
            Self::Images => write!(f, "{SCHEME}images"),
            Self::Image(id) => write!(f, "{SCHEME}images/{id}"),
            Self::Preview(id) => write!(f, "{SCHEME}previews/{id}"),
            Self::Job(id) => write!(f, "{SCHEME}jobs/{id}"),
            Self::Recipe(id) => write!(f, "{SCHEME}recipes/{id}"),
            Self::Styles => write!(f, "{SCHEME}styles"),
            Self::Style(name) => write!(f, "{SCHEME}styles/{}", safe(name)),
            Self::RenderTypes => write!(f, "{SCHEME}render-types"),
            Self::RenderType(name) => write!(f, "{SCHEME}render-types/{}", safe(name)),
            Self::View => f.write_str(VIEW_URI),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_reads_as_it_is_written() {
        for address in [
            Address::Images,
            Address::Image(ArtifactId::new()),
            Address::Preview(ArtifactId::new()),
            Address::Job(JobId::new()),
            Address::Recipe(JobId::new()),
            Address::Styles,
            Address::Style("film noir / 100% {x}?".to_owned()),
            Address::RenderTypes,
            Address::RenderType("größe".to_owned()),
            Address::View,
        ] {
            assert_eq!(Address::parse(&address.to_string()).as_ref(), Some(&address), "{address}");
        }
    }

    #[test]
    fn what_is_not_ours_means_nothing() {
        let job = JobId::new();
        for uri in [
            "",
            "genimage://",
            "genimage://images/",
            "genimage://images/x",
            &format!("genimage://images/{job}"),
            "genimage://styles/",
            "genimage://styles/a/b",
            "genimage://styles/%ff",
            "genimage://secrets",
            "file:///etc/passwd",
            "ui://genimage/other.html",
        ] {
            assert_eq!(Address::parse(uri), None, "{uri}");
        }
    }

    #[test]
    fn a_change_touches_what_shows_it() {
        let (job, other) = (JobId::new(), JobId::new());
        assert!(Address::Job(job).is_touched_by(&Update::Job(job)));
        assert!(!Address::Job(other).is_touched_by(&Update::Job(job)));
        assert!(Address::Style("noir".to_owned()).is_touched_by(&Update::Catalogue));
        assert!(!Address::Image(ArtifactId::new()).is_touched_by(&Update::Images), "bytes never change");
        assert!(Address::Images.is_touched_by(&Update::Images));
    }
}
