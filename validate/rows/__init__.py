"""The rows of the scorecard (docs/scorecard.md), one file per family."""
