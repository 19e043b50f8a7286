//! Two machines that apply for one owner at the same time: neither makes an orphan of what the other declares.

use super::*;

struct Fleet {
    operator: Operator,
    web: ObjectKey,
    /// Of the object, as it was created.
    revision: u64,
}

impl Fleet {
    /// An owner `fleet` that has declared the group `web`.
    async fn new() -> Self {
        let operator = Operator::new(&controller().await, "default", Role::Operator);
        let web = key("EdgeGroup", "web");
        let plan = operator.begin(vec![web.clone()]).await;
        let revision =
            operator.write(plan, vec![put(web.clone(), 0, &group("all"))]).await.remove(0).unwrap();
        let fleet = Self { operator, web, revision: revision.0 };
        fleet.finish(plan, false).await;
        fleet
    }
    async fn begin(&self) -> PlanNumber {
        self.operator.begin(vec![]).await
    }
    /// Takes the group away, as a machine does from whose manifests it is gone.
    async fn delete(&self, plan: PlanNumber) {
        let put = put(self.web.clone(), self.revision, "");
        let delete = ObjectWrite { write: Write::Delete, outcome: Outcome::Deleted, ..put };
        self.operator.write(plan, vec![delete]).await.remove(0).unwrap();
    }
    /// Declares it anew, as a machine does that still has it.
    async fn declare(&self, plan: PlanNumber) {
        let write = put(self.web.clone(), 0, &group("tags=a"));
        self.operator.write(plan, vec![write]).await.remove(0).unwrap();
    }
    async fn finish(&self, plan: PlanNumber, forgets: bool) {
        let forgets = if forgets { vec![self.web.clone()] } else { vec![] };
        let finish = FinishPlan { plan, forgets, summary: Summary::default() };
        self.operator.service.finish_plan(self.operator.call("FinishPlan"), finish).await.unwrap();
    }
    async fn inventory(&self, of: Owner) -> Vec<ObjectKey> {
        self.operator.service.list_inventory(self.operator.call("ListInventory"), of).await.unwrap()
    }
    async fn is_owned(&self) -> bool {
        self.inventory(Owner::new("fleet").unwrap()).await == std::slice::from_ref(&self.web)
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_declares_any_more_is_forgotten() {
    let fleet = Fleet::new().await;
    assert!(fleet.is_owned().await);
    let plan = fleet.begin().await;
    fleet.delete(plan).await;
    assert!(fleet.is_owned().await, "until the plan is finished");
    fleet.finish(plan, true).await;
    assert!(!fleet.is_owned().await);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_forgets_leaves_what_another_wrote_since() {
    for the_other_began_first in [false, true] {
        let fleet = Fleet::new().await;
        let plans = [fleet.begin().await, fleet.begin().await];
        let [forgetting, declaring] = if the_other_began_first { [plans[1], plans[0]] } else { plans };
        fleet.delete(forgetting).await;
        fleet.declare(declaring).await;
        fleet.finish(forgetting, true).await;
        assert!(fleet.is_owned().await, "{the_other_began_first}");
        fleet.finish(declaring, false).await;
        assert!(fleet.is_owned().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_owns_again_what_another_plan_forgot_after_this_one_began() {
    let fleet = Fleet::new().await;
    let (forgetting, declaring) = (fleet.begin().await, fleet.begin().await);
    fleet.delete(forgetting).await;
    fleet.finish(forgetting, true).await;
    assert!(!fleet.is_owned().await);
    fleet.declare(declaring).await;
    assert!(fleet.is_owned().await, "with the write, not with the plan's end");
}

#[tokio::test(start_paused = true)]
async fn what_the_command_line_writes_is_in_no_inventory() {
    let fleet = Fleet::new().await;
    let begin = BeginPlan { owner: Owner::cli(), source: "edge group set".into(), owns: vec![] };
    let plan = fleet.operator.service.begin_plan(fleet.operator.call("BeginPlan"), begin).await.unwrap();
    let write = put(fleet.web.clone(), fleet.revision, &group("tags=a"));
    fleet.operator.write(plan, vec![write]).await.remove(0).unwrap();
    assert!(fleet.inventory(Owner::cli()).await.is_empty());
    assert!(fleet.is_owned().await);
}
