//! The numbers of a table: its own, or those of an array that somebody else keeps.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Numbers that are shared until they are changed: clones are cheap.
#[derive(Clone)]
pub struct Cells(Held);

#[derive(Clone)]
enum Held {
    Own(Arc<Vec<f64>>),
    Lent(Arc<dyn AsRef<[f64]> + Send + Sync>),
}

impl Cells {
    /// The numbers of an array that somebody else keeps, and nobody writes to.
    pub fn lent(array: Arc<dyn AsRef<[f64]> + Send + Sync>) -> Self {
        Self(Held::Lent(array))
    }
}

impl Deref for Cells {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        match &self.0 {
            Held::Own(values) => values,
            Held::Lent(array) => (**array).as_ref(),
        }
    }
}

/// Copies numbers that others use too.
impl DerefMut for Cells {
    fn deref_mut(&mut self) -> &mut [f64] {
        if let Held::Lent(array) = &self.0 {
            self.0 = Held::Own(Arc::new((**array).as_ref().to_vec()));
        }
        match &mut self.0 {
            Held::Own(values) => Arc::<Vec<f64>>::make_mut(values),
            Held::Lent(_) => unreachable!("they are its own now"),
        }
    }
}

impl From<Vec<f64>> for Cells {
    fn from(values: Vec<f64>) -> Self {
        Self(Held::Own(Arc::new(values)))
    }
}

impl<const N: usize> From<[f64; N]> for Cells {
    fn from(values: [f64; N]) -> Self {
        values.to_vec().into()
    }
}

impl FromIterator<f64> for Cells {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        values.into_iter().collect::<Vec<f64>>().into()
    }
}

impl<'a> IntoIterator for &'a Cells {
    type Item = &'a f64;
    type IntoIter = std::slice::Iter<'a, f64>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Default for Cells {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl PartialEq for Cells {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: AsRef<[f64]> + ?Sized> PartialEq<T> for Cells {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

impl fmt::Debug for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lent_numbers_are_copied_when_they_are_changed_and_only_then() {
        let array: Arc<Vec<f64>> = Arc::new(vec![1.0, 2.0, 3.0]);
        let lent = Cells::lent(Arc::clone(&array) as _);
        let mut changed = lent.clone();
        assert_eq!(lent.as_ptr(), array.as_ptr());
        changed[1] = 5.0;
        assert_eq!((&*changed, &*lent), (&[1.0, 5.0, 3.0][..], &[1.0, 2.0, 3.0][..]));
        let own = Cells::from(vec![4.0]);
        assert_eq!(own.clone().as_ptr(), own.as_ptr(), "clones share");
    }
}
