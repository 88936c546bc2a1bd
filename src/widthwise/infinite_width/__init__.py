"""infinite_width"""
