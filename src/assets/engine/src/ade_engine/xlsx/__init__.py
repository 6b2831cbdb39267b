"""Workbooks (Office Open XML, transitional and strict), read part by part.

Only the parts that hold values are opened: the workbook, its relationships, shared strings, number
formats and worksheets. Faults anywhere else (fonts, properties, drawings, pivots) decide nothing.
"""
