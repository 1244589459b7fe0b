// htmx would add an inline style sheet and may evaluate text; neither is needed, and the first is not allowed here.
htmx.config.includeIndicatorStyles = false;
htmx.config.allowEval = false;
// The page is hidden until just after Alpine has begun, and what is hidden cannot have the focus that it asks for.
document.addEventListener("alpine:initialized", () => {
  requestAnimationFrame(() => document.querySelector("[autofocus]")?.focus());
});
