// After Back the browser puts the choice back and not the plan, or a page of an hour ago: the plan is asked again.
addEventListener("pageshow", (event) => {
  const choice = document.getElementById("id_release");
  const plan = document.getElementById("cy-plan-of");
  if (choice && plan && (event.persisted || choice.value !== plan.dataset.release)) htmx.trigger(plan, "stale");
});
