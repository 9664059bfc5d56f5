//! The pages for people, and the documents they are made from.

use std::sync::LazyLock;

use bytes::Bytes;
use strum::VariantArray;

use super::openapi;
use super::problem::Problem;
use super::problem_kind::{Description, ProblemKind};
use super::response::json;
use crate::pages::{self, ProblemPage};
use crate::serving::Response;

/// The landing page.
pub fn landing() -> Response {
    pages::landing()
}

/// The style sheet of all pages.
pub fn style() -> Response {
    pages::style()
}

/// The script of the pages with forms.
pub fn script() -> Response {
    pages::script()
}

/// The OpenAPI document.
pub fn openapi() -> Response {
    json(openapi::DOCUMENT)
}

/// The documentation of the API.
pub fn docs() -> Response {
    static PAGE: LazyLock<Bytes> =
        LazyLock::new(|| pages::api_documentation(openapi::DOCUMENT).into());
    pages::html(PAGE.clone())
}

/// The list of all problems.
pub fn problems() -> Response {
    static PAGE: LazyLock<Bytes> = LazyLock::new(|| {
        let problems = ProblemKind::VARIANTS.iter().copied().map(problem_page);
        pages::problem_list(problems).into()
    });
    pages::html(PAGE.clone())
}

/// The page of the problem whose type ends with `slug`.
///
/// # Errors
/// 404 when there is none.
pub fn problem(slug: &str) -> Result<Response, Problem> {
    let kind = ProblemKind::from_slug(slug).ok_or_else(|| Problem::new(ProblemKind::NotFound))?;
    Ok(pages::html(problem_page(kind).render().into()))
}

fn problem_page(kind: ProblemKind) -> ProblemPage {
    let Description {
        status,
        slug,
        title,
        meaning,
    } = kind.describe();
    ProblemPage {
        status: status.as_u16(),
        slug,
        title,
        meaning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_a_page_that_is_listed() {
        let list = problems().into_body();
        let list = std::str::from_utf8(&list).unwrap();
        for kind in ProblemKind::VARIANTS {
            let Description { slug, title, .. } = kind.describe();
            let page = problem(slug).unwrap();
            let page = std::str::from_utf8(page.body()).unwrap();
            assert!(page.contains(title), "{slug}");
            assert!(list.contains(&format!("\"/problems/{slug}\"")), "{slug}");
            assert_eq!(pages::external_reference(page), None, "{slug}");
        }
        assert!(problem("nonsense").is_err());
    }

    #[test]
    fn the_documentation_loads_nothing_from_elsewhere() {
        for response in [landing(), style(), script(), docs(), problems()] {
            let page = std::str::from_utf8(response.body()).unwrap();
            assert_eq!(pages::external_reference(page), None);
        }
    }
}
