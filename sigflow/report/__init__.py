"""Pictures of data and runs, the report on a run, its model card.

`write.write_report` is not named here: it takes torch and scikit-learn, and every extracting worker reads this file.
"""

from sigflow.report.charts import confusion_matrix
from sigflow.report.curves import loss_curves
from sigflow.report.previews import Curves, Panel, clip_title, contact_sheet, feature_chart

__all__ = ["Curves", "Panel", "clip_title", "confusion_matrix", "contact_sheet", "feature_chart", "loss_curves"]
