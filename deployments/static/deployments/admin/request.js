// After Back the browser puts the choice back and not the plan, or a page of an hour ago: the plan is asked again.
addEventListener("pageshow", (event) => {
  const choice = document.querySelector("[name=release]:checked");
  const plan = document.getElementById("cy-plan-of");
  if (plan && (event.persisted || (choice && choice.value !== plan.dataset.release))) htmx.trigger(plan, "stale");
});
