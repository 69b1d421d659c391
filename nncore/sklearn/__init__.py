"""scikit-learn's `MLPClassifier` and `MLPRegressor`, run and trained by nncore.

Replace ``from sklearn.neural_network import MLPClassifier`` by
``from nncore.sklearn import MLPClassifier``: parameters, attributes, warnings and random numbers
are scikit-learn's. The package needs scikit-learn, which the rest of nncore does not.

===================  ==============================================================================
``_classifier.py``   `MLPClassifier`
``_regressor.py``    `MLPRegressor`
``_base.py``         what both share: fit, prediction, the network that belongs to the weights
``_problem.py``      what a fit minimises, said in the terms of nncore's Trainer
``_stochastic.py``   the solvers sgd and adam: epochs, learning rates, when to stop
``_lbfgs.py``        the solver lbfgs: SciPy's, over nncore's gradients
``_rows.py``         samples, dense or sparse, some rows at a time
===================  ==============================================================================
"""

try:
    from sklearn import __version__ as _version
except ImportError:
    raise ImportError("nncore.sklearn needs scikit-learn: pip install scikit-learn") from None

from sklearn.utils.fixes import parse_version as _parsed

if _parsed(_version) < _parsed("1.7"):
    raise ImportError(f"scikit-learn is {_version}, nncore.sklearn needs 1.7 or later")

from nncore.sklearn._classifier import MLPClassifier
from nncore.sklearn._regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
