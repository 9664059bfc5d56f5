//! Everything that can happen next in the world of the restores.

use hello_operator::restore::plan::{
    planner::{Next, plan},
    step::{Run, Step},
};

use super::{
    Flaw,
    state::{Breach, Effect, Job, Made, RESTORES, State, Status, Who},
};

/// One thing that happens.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Event {
    // The operator.
    Read(Who),
    Report,
    Write,
    // Jobs.
    Work(Who, Step),
    End(Who, Step),
    Vanish(Who, Step),
    /// A pod without a Job ends, with its work done or not.
    EndStray(bool),
    EndMigration,
    // Users and faults.
    Crash,
    Kill(Who, Step),
    LosePod(Who, Step),
    DeleteJob(Who, Step),
    Put,
    Consent(Who),
    Undo(Who, bool),
    Drop(Who),
    Delete(Who),
    DeleteService,
    Migrate,
}

/// What a pass decides: the status, where it is new, and the write.
type Decision = (Option<Status>, Next, bool);

impl State {
    /// What a pass over a restore decides, and whether a step starts beside a migration.
    pub fn decide(&self, who: Who, flaw: Option<Flaw>) -> Option<Decision> {
        let mut facts = self.facts(who)?;
        match flaw {
            Some(Flaw::AlwaysAccepts) => facts.consent = true,
            Some(Flaw::DropsAtOnce) => facts.drop = true,
            Some(Flaw::UndoesAtOnce) => facts.undo = Some(true),
            Some(Flaw::ForgetsDeletion) => facts.deleting = false,
            Some(Flaw::NeverHolds) => facts.held = !facts.deleting,
            Some(Flaw::TakesGivenUpAsEnd) => {
                for run in facts.runs.values_mut() {
                    if matches!(run, Run::GaveUp(_)) {
                        *run = Run::Refused(None);
                    }
                }
            }
            Some(Flaw::ForgetsWhatItDid) => {
                facts.progress = hello_operator::restore::plan::planner::Progress::New;
            }
            _ => {}
        }
        let mut decided = plan(&facts);
        let about = match decided.next {
            Next::Hold => Some(Step::Stage),
            Next::Start(step) => Some(step),
            Next::Nothing | Next::Remove(_) | Next::Release => None,
        };
        if let Some(step) = about {
            let hindrance = self.hindrance(who, step == Step::Stage);
            facts.hindrance = hindrance.filter(|_| flaw != Some(Flaw::IgnoresOthers));
            decided = plan(&facts);
        }
        let beside = self.migrating && matches!(decided.next, Next::Start(_));
        let old = &self.restores[who].as_ref()?.status;
        let new = self.status(who, &decided)?;
        let next = match decided.next {
            Next::Remove(_) if flaw == Some(Flaw::RetriesNothing) => Next::Nothing,
            next => next,
        };
        Some((Some(new).filter(|new| new != old), next, beside))
    }

    /// What can happen.
    pub fn events(&self, flaw: Option<Flaw>) -> Vec<Event> {
        let mut events = Vec::new();
        match &self.pass {
            Some((_, Some(_), _)) => events.push(Event::Report),
            Some((_, None, _)) => events.push(Event::Write),
            None => {
                for who in 0..RESTORES {
                    let decided = self.decide(who, flaw);
                    if decided.is_some_and(|(new, next, _)| new.is_some() || next != Next::Nothing)
                    {
                        events.push(Event::Read(who));
                    }
                }
            }
        }
        for ((who, step), job) in &self.jobs {
            let (who, step) = (*who, *step);
            match job {
                Job::Active(None) if !self.migrating => events.push(Event::Work(who, step)),
                Job::Active(Some(_)) => events.push(Event::End(who, step)),
                Job::Leaving(None) if !self.migrating => {
                    events.extend([Event::Work(who, step), Event::Vanish(who, step)]);
                }
                Job::Leaving(_) => events.push(Event::Vanish(who, step)),
                _ => {}
            }
        }
        if !self.strays.is_empty() {
            events.push(Event::EndStray(false));
            if !self.migrating {
                events.push(Event::EndStray(true));
            }
        }
        if self.migrating {
            events.push(Event::EndMigration);
        }
        self.disturb(&mut events);
        events
    }

    fn disturb(&self, events: &mut Vec<Event>) {
        let left = &self.left;
        if left.faults > 0 {
            if self.pass.is_some() {
                events.push(Event::Crash);
            }
            for ((who, step), job) in &self.jobs {
                let (who, step) = (*who, *step);
                match job {
                    Job::Active(_) => {
                        events.extend([Event::Kill(who, step), Event::DeleteJob(who, step)]);
                    }
                    Job::Ended(Effect::Done(_)) => {
                        events.extend([Event::LosePod(who, step), Event::DeleteJob(who, step)]);
                    }
                    _ => {}
                }
            }
        }
        for (who, restore) in self.restores.iter().enumerate() {
            let Some(restore) = restore.as_ref().filter(|restore| !restore.deleting) else {
                continue;
            };
            if left.edits > 0 {
                if !restore.consent {
                    events.push(Event::Consent(who));
                }
                if restore.undo != Some(true) {
                    events.extend([Event::Undo(who, false), Event::Undo(who, true)]);
                }
                if !restore.drop {
                    events.push(Event::Drop(who));
                }
            }
            if left.deletions > 0 {
                events.push(Event::Delete(who));
            }
        }
        if left.deletions > 0 && self.service {
            events.push(Event::DeleteService);
        }
        if left.writes > 0 && self.service && !self.database.written {
            events.push(Event::Put);
        }
        if left.migrations > 0 && !self.migrating && self.service {
            events.push(Event::Migrate);
        }
    }

    /// The state after an event.
    pub fn after(&self, event: Event, flaw: Option<Flaw>) -> Self {
        let mut next = self.clone();
        match event {
            Event::Read(who) => {
                if let Some((status, write, beside)) = self.decide(who, flaw) {
                    next.pass = Some((who, status, write));
                    if beside {
                        next.breach = Some(Breach::Beside);
                    }
                }
            }
            Event::Report => {
                if let Some((who, status, write)) = next.pass.take() {
                    if let (Some(restore), Some(status)) = (&mut next.restores[who], status) {
                        restore.status = status;
                    }
                    next.pass = (write != Next::Nothing).then_some((who, None, write));
                }
            }
            Event::Write => {
                if let Some((who, _, write)) = next.pass.take() {
                    next.write(who, write);
                }
            }
            Event::Work(who, step) => {
                let effect = next.take(who, step);
                if let Some(Job::Active(done) | Job::Leaving(done)) =
                    next.jobs.get_mut(&(who, step))
                {
                    *done = Some(effect);
                }
            }
            Event::End(who, step) => {
                if let Some(Job::Active(Some(effect))) = self.jobs.get(&(who, step)) {
                    next.jobs.insert((who, step), Job::Ended(*effect));
                }
            }
            Event::Vanish(who, step) => {
                next.jobs.remove(&(who, step));
            }
            Event::EndStray(works) => {
                if let Some((who, step)) = next.strays.pop()
                    && works
                {
                    next.take(who, step);
                }
            }
            Event::EndMigration => next.migrating = false,
            _ => next.disturbed(event),
        }
        next
    }

    fn disturbed(&mut self, event: Event) {
        match event {
            Event::Crash | Event::Kill(..) | Event::LosePod(..) | Event::DeleteJob(..) => {
                self.left.faults -= 1;
            }
            Event::Consent(_) | Event::Undo(..) | Event::Drop(_) => self.left.edits -= 1,
            Event::Delete(_) | Event::DeleteService => self.left.deletions -= 1,
            Event::Put => self.left.writes -= 1,
            Event::Migrate => self.left.migrations -= 1,
            _ => {}
        }
        match event {
            Event::Crash => self.pass = None,
            Event::Kill(who, step) => {
                self.jobs.insert((who, step), Job::GaveUp);
            }
            Event::LosePod(who, step) => {
                self.jobs.insert((who, step), Job::Lost);
            }
            Event::DeleteJob(who, step) => {
                let job = self.jobs.remove(&(who, step));
                let works = job == Some(Job::Active(None));
                self.strays.extend(works.then_some((who, step)));
            }
            Event::Put => self.database.written = true,
            Event::Consent(who) => self.edit(who, |restore| restore.consent = true),
            Event::Undo(who, lossy) => self.edit(who, |restore| restore.undo = Some(lossy)),
            Event::Drop(who) => self.edit(who, |restore| restore.drop = true),
            Event::Delete(who) => {
                self.edit(who, |restore| restore.deleting = true);
                self.collect(who);
            }
            Event::DeleteService => self.service = false,
            Event::Migrate => self.migrating = true,
            _ => {}
        }
    }

    fn edit(&mut self, who: Who, edit: impl FnOnce(&mut super::state::Restore)) {
        if let Some(restore) = &mut self.restores[who] {
            edit(restore);
        }
    }

    /// A HelloRestore that nothing holds any more is gone, and its Jobs go with it.
    fn collect(&mut self, who: Who) {
        let restore = self.restores[who].as_ref();
        if !restore.is_some_and(|restore| restore.deleting && !restore.held) {
            return;
        }
        self.restores[who] = None;
        let own: Vec<_> = self
            .jobs
            .keys()
            .filter(|(of, _)| *of == who)
            .copied()
            .collect();
        for key in own {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: (Who, Step)) {
        match self.jobs.get(&key) {
            Some(Job::Active(done)) => {
                let done = *done;
                self.jobs.insert(key, Job::Leaving(done));
            }
            Some(Job::Leaving(_)) => {}
            _ => {
                self.jobs.remove(&key);
            }
        }
    }

    fn write(&mut self, who: Who, next: Next) {
        match next {
            Next::Nothing => {}
            Next::Hold => self.edit(who, |restore| {
                restore.held = !restore.deleting || restore.held
            }),
            Next::Release => {
                self.edit(who, |restore| restore.held = false);
                self.collect(who);
            }
            Next::Remove(step) => self.remove((who, step)),
            Next::Start(step) => {
                if step == Step::Stage
                    && matches!(self.database.made[who], Made::Swapped | Made::Undone)
                {
                    self.breach = Some(Breach::Again);
                }
                self.jobs.entry((who, step)).or_insert(Job::Active(None));
                if self.at_work() > 1 {
                    self.breach = Some(Breach::Together);
                }
            }
        }
    }

    /// What the command of a step does: one transaction, which finds out by itself how far the restore is.
    fn take(&mut self, who: Who, step: Step) -> Effect {
        let (made, written) = (self.database.made[who], self.database.written);
        let restore = self.restores[who].clone();
        let asked = |is: fn(&super::state::Restore) -> bool| restore.as_ref().is_none_or(is);
        match (step, made) {
            (Step::Stage, Made::Nothing | Made::Staged) => {
                self.database.made[who] = Made::Staged;
                Effect::Done(written)
            }
            (Step::Swap(false), Made::Staged) | (Step::Undo(false), Made::Swapped) if written => {
                Effect::LossNotAccepted
            }
            (Step::Swap(_), Made::Staged) => {
                if written && !asked(|restore| restore.consent) {
                    self.breach = Some(Breach::LostUnasked);
                }
                self.database.made[who] = Made::Swapped;
                self.database.former[who] = true;
                self.database.written = false;
                Effect::Done(written)
            }
            (Step::Swap(_), Made::Swapped) | (Step::Undo(_), Made::Undone) => Effect::Done(false),
            (Step::Undo(_), Made::Swapped) if self.database.former[who] => {
                if !asked(|restore| restore.undo.is_some()) {
                    self.breach = Some(Breach::UndoneUnasked);
                }
                self.database.made[who] = Made::Undone;
                self.database.written = false;
                Effect::Done(written)
            }
            (Step::Stage | Step::Swap(_) | Step::Undo(_), _) => Effect::Refused,
            (Step::Drop, Made::Swapped) | (Step::Discard, Made::Undone) => {
                if !asked(|restore| restore.drop) {
                    self.breach = Some(Breach::DroppedUnasked);
                }
                self.database.former[who] = false;
                Effect::Done(false)
            }
            (Step::Discard, Made::Staged) => {
                self.database.made[who] = Made::Nothing;
                Effect::Done(false)
            }
            (Step::Drop | Step::Discard, _) => Effect::Done(false),
        }
    }
}
