"""A question's words in the languages of the documents that are looked through."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

from muniment.documents.models import Version
from tests.factories import make_document, make_library, scope_for
from tests.house import House, make_house
from workers.answer.words import Words, words_of
from workers.engines.sparse import passage_vector


def written_in(house: House, language: str, text: str) -> Version:
    version = Version.objects.get(document=make_document(house.library, f"{uuid4()}.txt", [text]))
    Version.objects.filter(pk=version.pk).update(language=language)
    version.refresh_from_db()
    return version


def test_words_are_stemmed_as_the_documents_are(house: House) -> None:
    written_in(house, "de", "Das Krankenhaus ist offen.")
    written_in(house, "es", "Los hospitales cierran.")
    asked = set(words_of(scope_for(house.reader), "Krankenhäuser, hospital, lamps").indices)
    for text, stemmer in (("Krankenhaus", "german"), ("hospitales", "spanish"), ("lamp", "english")):
        assert set(passage_vector(text, stemmer).indices) <= asked


def test_the_languages_of_others_are_not_looked_through(house: House) -> None:
    written_in(make_house(), "de", "Das Krankenhaus ist offen.")
    asked = words_of(scope_for(house.reader), "Krankenhäuser")
    assert not set(passage_vector("Krankenhaus", "german").indices) & set(asked.indices)


def test_the_languages_of_other_libraries_are_not_looked_through(house: House) -> None:
    other = make_library(house.tenant, "Akten")
    written_in(house, "es", "Los hospitales cierran.")
    german = make_document(other, "haus.txt", ["Das Krankenhaus ist offen."])
    Version.objects.filter(document=german).update(language="de")
    scope = replace(scope_for(house.reader), libraries=frozenset({house.library.id, other.id}))
    krankenhaus = set(passage_vector("Krankenhaus", "german").indices)
    assert krankenhaus <= set(words_of(scope, "Krankenhäuser").indices)
    assert krankenhaus <= set(words_of(scope, "Krankenhäuser", [other.id]).indices)
    assert not krankenhaus & set(words_of(scope, "Krankenhäuser", [house.library.id]).indices)


def test_a_library_that_may_not_be_read_tells_nothing_of_its_languages(house: House) -> None:
    written_in(house, "de", "Das Krankenhaus ist offen.")
    scope = replace(scope_for(house.reader), libraries=frozenset[UUID]())
    asked = set(words_of(scope, "Krankenhäuser", [house.library.id]).indices)
    assert not asked & set(passage_vector("Krankenhaus", "german").indices)


def test_a_sentence_is_weighed_in_the_language_of_its_document(house: House) -> None:
    (passage,) = written_in(house, "de", "Das Krankenhaus ist offen.").passages.all()
    assert Words("Krankenhäuser").share_in(passage, passage.text) == 1.0
    (passage,) = written_in(house, "en", "The Krankenhaus.").passages.all()
    assert Words("Krankenhäuser").share_in(passage, passage.text) == 0.0
