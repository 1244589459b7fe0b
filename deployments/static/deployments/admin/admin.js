// htmx would add an inline style sheet and may evaluate text; neither is needed, and the first is not allowed here.
htmx.config.includeIndicatorStyles = false;
htmx.config.allowEval = false;
