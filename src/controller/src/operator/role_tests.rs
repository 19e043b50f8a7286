//! Who may call what: roles, tokens, and the controller's own matters.

use aegis_wire::operator::{ListDeliveries, RolloutAction};

use super::*;

/// Calls every method with this bearer and gives what went wrong.
async fn call(service: &Operators, method: &str, bearer: Bearer) -> Option<ApiError> {
    let plan = PlanNumber(1);
    let node = "n-0000".to_owned();
    match method {
        "WhoAmI" => service.who_am_i(bearer).await.err(),
        "ListNodes" => service.list_nodes(bearer, ListNodes::default()).await.err(),
        "ResolveTarget" => service.resolve_target(bearer, "all".into()).await.err(),
        "ListObjects" => service.list_objects(bearer, ListObjects::default()).await.err(),
        "GetObject" => service.get_object(bearer, key("EdgeGroup", "web")).await.err(),
        "ListChanges" => service.list_changes(bearer, Revision(0)).await.err(),
        "ListInventory" => service.list_inventory(bearer, Owner::cli()).await.err(),
        "ListHistory" => service.list_history(bearer, ListHistory::default()).await.err(),
        "GetHistory" => service.get_history(bearer, plan).await.err(),
        "ListTools" => service.list_tools(bearer, ListTools::default()).await.err(),
        "ListRuns" => service.list_runs(bearer, ListRuns::default()).await.err(),
        "GetRun" => service.get_run(bearer, GetRun { run: node, follow: false }).await.err(),
        "StartRun" => service.start_run(bearer, StartRun::default()).await.err(),
        "CancelRun" => service.cancel_run(bearer, node).await.err(),
        "GetRollout" => service.get_rollout(bearer, node).await.err(),
        "SteerRollout" => service.steer_rollout(bearer, node, RolloutAction::Pause).await.err(),
        "ListDeliveries" => service.list_deliveries(bearer, ListDeliveries::default()).await.err(),
        "GetDigestKey" => service.get_digest_key(bearer).await.err(),
        "BeginPlan" => {
            let plan = BeginPlan { owner: Owner::cli(), source: String::new(), owns: vec![] };
            service.begin_plan(bearer, plan).await.err()
        }
        "WriteObjects" => service.write_objects(bearer, plan, vec![]).await.err(),
        "FinishPlan" => service
            .finish_plan(bearer, FinishPlan { plan, forgets: vec![], summary: Summary::default() })
            .await
            .err(),
        "RevokeNode" => service.revoke_node(bearer, node).await.err(),
        "ShutdownNode" => {
            service.shutdown_node(bearer, ShutdownNode { node, reason: String::new() }).await.err()
        }
        "CreateEnrollmentToken" => {
            let wish = CreateEnrollmentToken { label: String::new(), tenant: None, ttl_seconds: None };
            service.create_enrollment_token(bearer, wish).await.err()
        }
        "CreateUserToken" => {
            let wish = CreateUserToken { tenant: None, role: Role::Viewer, ttl_seconds: None, subject: None };
            service.create_user_token(bearer, wish).await.err()
        }
        "CreateTenant" => service.create_tenant(bearer, tenant("t-new")).await.err(),
        "ListTenants" => service.list_tenants(bearer).await.err(),
        "ListAudit" => service.list_audit(bearer, ListAudit::default()).await.err(),
        "VerifyAudit" => service.verify_audit(bearer).await.err(),
        "Backup" => service.backup(bearer).await.err(),
        other => unreachable!("{other} isn't tested"),
    }
}

#[tokio::test(start_paused = true)]
async fn every_method_asks_for_its_role_and_for_a_good_token() {
    let controller = controller().await;
    let stranger =
        with_parts(|parts| parts.signing = ServerSigningKey::new(SigningKey::from_seed(&[99; 32]))).await;
    let foreign = Operator::new(&stranger, "default", Role::Admin);
    let no_user = enrollment_token(&controller, "default", "");
    let node = host(&controller, "default", 1, "a").await.token;
    for (method, role) in METHODS {
        for have in Role::ALL {
            let operator = Operator::new(&controller, "default", have);
            let error = call(&operator.service, method, operator.call(method)).await;
            let denied = error.is_some_and(|error| {
                error.code == Code::PermissionDenied && error.message.contains("needs the role")
            });
            assert_eq!(denied, have < *role, "{method} as {have}");
        }
        let service = Operators(controller.clone());
        for token in ["", "x.y.z", &no_user, &node] {
            let error = call(&service, method, Bearer::new(token, None, method).unwrap()).await.unwrap();
            assert_eq!(error.code, Code::Unauthenticated, "{method}");
        }
        let error = call(&service, method, foreign.call(method)).await.unwrap();
        assert_eq!(error.code, Code::Unauthenticated, "{method}");
    }
    let operator = Operator::new(&controller, "default", Role::Admin);
    tokio::time::advance(Duration::from_hours(31 * 24)).await;
    let error = call(&operator.service, "ListNodes", operator.call("ListNodes")).await.unwrap();
    assert_eq!(error.code, Code::Unauthenticated, "expired");
}

#[tokio::test(start_paused = true)]
async fn the_controllers_own_matters_need_its_scope() {
    let controller = controller().await;
    let admin = Operator::new(&controller, "default", Role::Admin);
    for method in ["CreateTenant", "VerifyAudit", "Backup"] {
        let error = call(&admin.service, method, admin.call(method)).await.unwrap();
        assert_eq!(error.code, Code::PermissionDenied, "{method}");
        assert!(error.message.contains("scope 'controller'"), "{error}");
    }
    let root = Operator::root(&controller);
    let names = async |operator: &Operator| -> Vec<String> {
        let tenants = operator.service.list_tenants(operator.call("ListTenants")).await.unwrap();
        tenants.into_iter().map(|tenant| tenant.tenant.to_string()).collect()
    };
    root.service.create_tenant(root.call("CreateTenant"), tenant("t-new")).await.unwrap();
    let twice = root.service.create_tenant(root.call("CreateTenant"), tenant("t-new")).await.unwrap_err();
    assert_eq!(twice.code, Code::Conflict);
    assert_eq!(names(&root).await, ["default", "t-new", "t-other"]);
    assert_eq!(names(&admin).await, ["default"]);
    let minted = root
        .service
        .create_user_token(
            root.call("CreateUserToken"),
            CreateUserToken {
                tenant: Some(tenant("t-new")),
                role: Role::Admin,
                ttl_seconds: None,
                subject: None,
            },
        )
        .await
        .unwrap();
    let bearer = Bearer::new(minted.token, None, "WhoAmI").unwrap();
    let who = root.service.who_am_i(bearer).await.unwrap();
    assert_eq!((who.tenant, who.role, who.controller_scope), (tenant("t-new"), Role::Admin, false));
}
