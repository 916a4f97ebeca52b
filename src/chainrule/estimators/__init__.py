"""scikit-learn estimators: its parameter names and meaning, trained by the derived equations."""

from chainrule.estimators.classifier import MLPClassifier
from chainrule.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
