"""From axes to cells: platforms, combinations, selection and the plan. Pure."""
