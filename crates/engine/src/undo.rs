//! Undoing the done steps of a verb that fails half-way.

/// Steps to undo, the last one first, unless the verb succeeds.
#[derive(Default)]
pub(crate) struct Undo<'a> {
    steps: Vec<Box<dyn FnOnce() + 'a>>,
}

impl<'a> Undo<'a> {
    /// Adds what undoes the step that was just done. It reports its own failures: the first error of the verb is the
    /// one the user must see.
    pub(crate) fn add(&mut self, step: impl FnOnce() + 'a) {
        self.steps.push(Box::new(step));
    }

    /// The verb has succeeded: nothing is undone.
    pub(crate) fn disarm(mut self) {
        self.steps.clear();
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        while let Some(step) = self.steps.pop() {
            step();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn undoes_in_reverse_unless_disarmed() {
        let log = RefCell::new(Vec::new());
        {
            let mut undo = Undo::default();
            undo.add(|| log.borrow_mut().push(1));
            undo.add(|| log.borrow_mut().push(2));
        }
        let mut undo = Undo::default();
        undo.add(|| log.borrow_mut().push(3));
        undo.disarm();
        assert_eq!(*log.borrow(), [2, 1]);
    }
}
