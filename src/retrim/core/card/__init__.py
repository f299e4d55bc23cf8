"""A version's model card: sections of sentences, tables and pictures, every one with the source of its figures."""

from retrim.core.card.facts import CardParams, Facts
from retrim.core.card.page import Card, Picture, Section, Source, Table
from retrim.core.card.write import card_of

__all__ = ["Card", "CardParams", "Facts", "Picture", "Section", "Source", "Table", "card_of"]
