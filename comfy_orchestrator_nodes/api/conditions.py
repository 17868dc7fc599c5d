"""Help for whoever writes a Condition's expression. The same parser as the node's, and no service is needed."""

from __future__ import annotations

from ..conditions import compile_condition, reference
from ..errors import InvalidRequest
from ..flow.routing import VALUES, inputs_by_name
from ..flow.words import EXPRESSION_INPUTS
from .condition_schemas import ConditionCheck, ConditionChecked, ConditionProblem, LanguageView, NameView
from .table import Call, Route


async def check_condition(call: Call, body: ConditionCheck) -> ConditionChecked:
    """Say whether an expression can be used; if not, where the first mistake is and what may have been meant.

    An expression that is wrong is an answer here, not an error.
    """
    connected = (*EXPRESSION_INPUTS, *VALUES) if body.connected is None else body.connected
    try:
        by_name = inputs_by_name(body.names, connected)
    except InvalidRequest as error:
        return ConditionChecked(ok=False, problem=ConditionProblem.of(error, "names", body.names), names=[])
    names = [NameView(name=name, input=slot) for name, slot in by_name.items()]
    try:
        compile_condition(body.expression, by_name)
    except InvalidRequest as error:
        problem = ConditionProblem.of(error, "expression", body.expression)
        return ConditionChecked(ok=False, problem=problem, names=names)
    return ConditionChecked(ok=True, problem=None, names=names)


async def get_language(call: Call) -> LanguageView:
    """List the functions, text methods, fields and keywords of the language, with a line of help for each."""
    return LanguageView.of(reference())


ROUTES = (
    Route("POST", "/conditions/check", check_condition),
    Route("GET", "/conditions/language", get_language),
)
