from django.utils.translation import gettext_lazy as _

from muniment.pages.errors import Conflict, Invalid, TooLarge


class EmptyQuestion(Invalid):
    code = "empty_question"
    detail = _("Write a question first.")


class QuestionTooLong(TooLarge):
    code = "question_too_long"


class StillAnswering(Conflict):
    code = "still_answering"
    detail = _("The answer before is still being written. Stop it, or wait for its end.")


class NothingToSearch(Invalid):
    code = "nothing_to_search"
    detail = _("There are no documents to answer from yet. Upload some, then ask again.")
